"""Orders and services as values, for tests of what is decided about them without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schemas.catalogue import Route, Service
from schemas.money import UNIT
from schemas.orders import FINAL_WORDS, Order, OrderChange, OrderState, WireStatus
from schemas.services import SERVICE_TYPES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

_WORDS = {OrderState.IN_PROGRESS: WireStatus.IN_PROGRESS, **FINAL_WORDS}


def an_order(
    state: OrderState = OrderState.PLACED,
    *,
    quantity: int = 1000,
    charge: int = 10 * UNIT,
    refunded: int = 0,
    service_type: str = "Default",
    age: timedelta = timedelta(minutes=10),
    **values: object,
) -> Order:
    """An order as it is read under its lock."""
    order = Order(
        id=1,
        reseller_id=1,
        service_id=1,
        service_type=service_type,
        provider_id=1,
        upstream_service="1",
        upstream_id="77",
        state=state,
        version=2,
        attempts=1,
        quantity=quantity,
        rate=charge * 1000 // quantity,
        cost=None,
        charge=charge,
        refunded=refunded,
        currency="USD",
        start_count=None,
        remains=None,
        wire_status=_WORDS.get(state, WireStatus.PENDING),
        wire_charge=charge - refunded,
        wire_remains=0 if state is OrderState.COMPLETED else quantity,
        request_id="r-1",
        created_at=NOW - age,
        updated_at=NOW - age,
        missing_since=None,
    )
    return replace(order, **values)  # type: ignore[arg-type]


def written(change: OrderChange) -> Order:
    """The order after a change was written, as the store writes it."""
    return replace(
        change.order,
        state=change.state,
        version=change.order.version + change.moved,
        upstream_id=change.upstream_id,
        refunded=change.order.refunded + change.refund,
        start_count=change.start_count,
        remains=change.remains,
        wire_status=change.wire_status,
        wire_charge=change.wire_charge,
        wire_remains=change.wire_remains,
        updated_at=NOW if change.moved else change.order.updated_at,
        provider_id=change.provider_id,
        upstream_service=change.upstream_service,
        cost=change.cost,
    )


def a_route(**values: object) -> Route:
    """A route to the provider with the id 1."""
    route = Route(
        id=1,
        service_id=1,
        provider_id=1,
        provider="upstream",
        upstream_service="1",
        cost=450_000,
        priority=100,
        weight=1,
        enabled=True,
        disabled_reason=None,
    )
    return replace(route, **values)  # type: ignore[arg-type]


def a_service(
    service_type: str = "Default",
    *,
    rate: int = 900_000,
    minimum: int = 50,
    maximum: int = 10_000,
    **values: object,
) -> Service:
    """A service that is sold."""
    assert service_type in SERVICE_TYPES
    service = Service(
        id=1,
        name="Followers",
        type=service_type,
        category="Tests",
        description="",
        position=0,
        rate=rate,
        minimum=minimum,
        maximum=maximum,
        step=1,
        dripfeed=False,
        refill=False,
        cancel=False,
        refill_days=None,
        keep_links=False,
        below_cost=False,
        enabled=True,
        disabled_reason=None,
        routes=(a_route(cost=rate // 2),),
    )
    return replace(service, **values)  # type: ignore[arg-type]
