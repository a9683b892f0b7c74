"""Failover: what the outcome of an attempt makes of its order. Pure.

Only a proof that no order exists upstream moves it: to the next route, back into the queue, or to
its end with the money back. Whatever proves nothing freezes it where it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from gateway.catalogue.routing import Standings, Want, cost_of, is_open_to, next_route
from gateway.orders.lifecycle import move
from providers.errors import ProviderError, Rejected, Unavailable
from providers.refusals import means_active_link
from schemas.catalogue import Route, Service
from schemas.config import DispatchSettings
from schemas.orders import (
    NOT_TRIED,
    Order,
    OrderChange,
    OrderState,
    PlannedRoute,
    RouteKey,
    Tried,
)
from schemas.upstream import Placed, RefusalGroup

Outcome: TypeAlias = Placed | ProviderError


class Forbidden(StrEnum):
    """Why the catalogue keeps an order from being sent, in the words that its attempts keep."""

    TOO_DEAR = "the route now costs more than the order pays"
    ROUTE_OFF = "the route is switched off or removed"
    TYPE_CHANGED = "the service is of another type than the order"


class Withheld(Unavailable):
    """We did not ask, for a reason of our own; says nothing of the provider.

    ``elsewhere``: another route may be asked instead.
    """

    def __init__(self, message: str, *, elsewhere: bool = False) -> None:
        super().__init__(message)
        self.elsewhere = elsewhere


@dataclass(frozen=True, slots=True)
class Ways:
    """Where an order could go, as the transaction that records an attempt sees it.

    ``tried`` includes the attempt that has just ended. ``was_in_doubt``: an earlier attempt of the
    order may have been accepted for a while. ``forbidden_for``: how long the catalogue has kept
    it from being sent, at every look.
    """

    service: Service | None = None
    tried: Mapping[RouteKey, Tried] = field(default_factory=dict)
    standings: Standings = field(default_factory=dict)
    was_in_doubt: bool = False
    forbidden_for: timedelta = timedelta(0)

    def next(self, order: Order, *, refused: bool = False) -> PlannedRoute | None:
        """The route after the order's own; None when it has to stay."""
        if self.service is None:
            return None
        here = (order.provider_id, order.upstream_service)
        route = next_route(self.service, here, self._want(order), self.standings, refused=refused)
        return planned(self.service, route, order.quantity) if route else None

    def any_open(self, order: Order) -> bool:
        """Whether a route may deliver the order at all, though its provider may be away."""
        if self.service is None or self.service.type != order.service_type:
            return False
        want = self._want(order)
        return any(is_open_to(self.service, route, want) for route in self.service.routes)

    def times(self, key: RouteKey) -> int:
        """How often the order was not taken at a route."""
        return self.tried.get(key, NOT_TRIED).times

    def _want(self, order: Order) -> Want:
        return Want(order.id, order.quantity, order.rate, self.tried)


def forbidden(outcome: Outcome) -> Forbidden | None:
    """What in the catalogue kept an order from being sent; None where something else did."""
    if not isinstance(outcome, Withheld):
        return None
    return next((why for why in Forbidden if why == str(outcome)), None)


def planned(service: Service, route: Route, quantity: int) -> PlannedRoute:
    """A route as an order keeps it."""
    cost = cost_of(service, route, quantity)
    return PlannedRoute(route.provider_id, route.upstream_service, cost, service.below_cost)


def retry_in(settings: DispatchSettings, attempts_made: int) -> int:
    """Milliseconds until an order that was not taken is tried again: doubling, up to a limit."""
    doubled = settings.retry_first_ms * (1 << min(max(attempts_made - 1, 0), 20))
    return min(doubled, settings.retry_last_ms)


def after_attempt(
    order: Order, outcome: Outcome, settings: DispatchSettings, ways: Ways
) -> Sequence[OrderChange]:
    """The moves that an outcome makes of its order, one after the other (``reliability`` B5).

    The order is ``sending``, or in doubt when the answer came after the lease was over. Only
    a refusal in known words gives money back; what proves nothing is frozen.
    """
    late = order.state is not OrderState.SENDING
    match outcome:
        case Placed(upstream_id=upstream_id):
            return [move(order, OrderState.PLACED, "upstream_took", upstream_id=upstream_id)]
        case Rejected(group=RefusalGroup.ORDER | RefusalGroup.SERVICE as group):
            return _refused(order, group, settings, ways)
        case Rejected() if ways.was_in_doubt and means_active_link(str(outcome)):
            # The order on this link may be the one whose answer was lost (B5b).
            there = order.state is OrderState.REVIEW
            return [] if there else [move(order, OrderState.REVIEW, "active_link_after_doubt")]
        case Rejected(group=group):
            patient = group is RefusalGroup.TEMPORARY and _is_patient(order, settings, ways)
            route = None if patient else ways.next(order)
            return [_queued(order, f"refused_{group}", settings, route)]
        case Unavailable():
            return [_not_sent(order, outcome, settings, ways)]
        case _ if late:
            return []
        case _:
            return [move(order, OrderState.UNKNOWN, "answer_lost")]


def _not_sent(
    order: Order, outcome: Unavailable, settings: DispatchSettings, ways: Ways
) -> OrderChange:
    if (why := _given_up(order, outcome, settings, ways)) is not None:
        cause = f"{why.name.lower()}_too_long"
        return move(order, OrderState.FAILED, cause, refund_target=order.charge)
    stays = isinstance(outcome, Withheld) and not outcome.elsewhere
    return _queued(order, "not_sent", settings, None if stays else ways.next(order))


def _given_up(
    order: Order, outcome: Outcome, settings: DispatchSettings, ways: Ways
) -> Forbidden | None:
    """Why an order waits no longer: only the catalogue could let it go, and has not for long."""
    longest = timedelta(milliseconds=settings.undeliverable_ms)
    if order.state is not OrderState.SENDING or ways.forbidden_for < longest:
        return None
    return None if ways.any_open(order) else forbidden(outcome)


def _is_patient(order: Order, settings: DispatchSettings, ways: Ways) -> bool:
    times = ways.times((order.provider_id, order.upstream_service))
    return times < settings.same_route_tries


def _queued(
    order: Order, cause: str, settings: DispatchSettings, route: PlannedRoute | None
) -> OrderChange:
    """Back into the queue: for another route now, for the same one later."""
    if route is not None:
        return move(order, OrderState.QUEUED, f"{cause}_rerouted", route=route)
    later = retry_in(settings, order.attempts)
    return move(order, OrderState.QUEUED, cause, next_in=later)


def _refused(
    order: Order, group: RefusalGroup, settings: DispatchSettings, ways: Ways
) -> Sequence[OrderChange]:
    """Refused for good at this route: the next one, or the money back."""
    route = ways.next(order, refused=True)
    if route is not None:
        change = _queued(order, f"refused_{group}", settings, route)
        asked_before = ways.times((route.provider_id, route.upstream_service)) > 0
        wait = retry_in(settings, order.attempts) if asked_before else change.next_in
        return [replace(change, next_in=wait)]
    if order.state is not OrderState.SENDING:
        # Nothing leads from a doubt to money: the doubt is ended first, by the late answer.
        ended = move(order, OrderState.QUEUED, f"refused_{group}")
        again = replace(order, state=OrderState.QUEUED, version=order.version + 1)
        last = move(again, OrderState.FAILED, "upstream_refused", refund_target=order.charge)
        return [ended, last]
    return [move(order, OrderState.FAILED, "upstream_refused", refund_target=order.charge)]
