"""Reports of operators on orders that people deliver: the same lifecycle as an upstream's words."""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.orders.lifecycle import Polling, after_status, refund_target
from gateway.orders.settling import report, write_changes
from gateway.store import order_search, orders, providers
from gateway.store.connection import Pool, transaction
from providers.registry import is_worked_by_hand
from schemas.config import TrackingSettings
from schemas.money import format_amount
from schemas.operators import Act, Subject, Warrant
from schemas.order_records import OrderRecord
from schemas.orders import Order, OrderChange, OrderState
from schemas.upstream import UpstreamStatus, UpstreamWord

#: What an operator may report, and where it takes the order.
REPORTED: dict[UpstreamWord, OrderState] = {
    UpstreamWord.IN_PROGRESS: OrderState.IN_PROGRESS,
    UpstreamWord.COMPLETED: OrderState.COMPLETED,
    UpstreamWord.PARTIAL: OrderState.PARTIAL,
    UpstreamWord.CANCELED: OrderState.CANCELED,
}
_NOT_PLACED = frozenset({OrderState.QUEUED, OrderState.SENDING})
_IN_DOUBT = frozenset({OrderState.UNKNOWN, OrderState.REVIEW})


async def report_order(
    pool: Pool, order_id: int, status: UpstreamStatus, settings: TrackingSettings, warrant: Warrant
) -> OrderRecord:
    """Apply what an operator says of an order; the same report again changes nothing.

    Returns the order as it is then.

    Raises:
        UserError: when the order is not worked by hand, or cannot be what is reported.
    """
    await _find_by_hand(pool, order_id)
    # Nobody is polled: how often does not matter.
    polling = Polling(
        settings.first_ms, settings.last_ms, settings.correction_ms, settings.watch_ms
    )

    def decide(order: Order) -> OrderChange | None:
        require_possible(order, status)
        change = after_status(order, status, datetime.now(UTC), polling)
        return replace(change, next_in=None) if change else None

    async with pool.acquire() as conn, transaction(conn):
        [locked] = await orders.lock_orders(conn, [order_id])
        change = decide(locked)
        changes = [] if change is None else [change]
        await write_changes(conn, changes)
        if change is not None and _is_news(locked, change):
            await record(conn, _act(locked, change, warrant))
    report(changes)
    return await _find_by_hand(pool, order_id)


def _is_news(order: Order, change: OrderChange) -> bool:
    before = (order.state, order.start_count, order.remains)
    return before != (change.state, change.start_count, change.remains)


def _act(order: Order, change: OrderChange, warrant: Warrant) -> Act:
    after = {
        "state": change.state,
        "start_count": change.start_count,
        "remains": change.remains,
        "refund": format_amount(change.refund),
    }
    before = {"state": order.state, "start_count": order.start_count, "remains": order.remains}
    return warrant.act(
        "order.reported", Subject("order", str(order.id)), before=before, after=after
    )


async def _find_by_hand(pool: Pool, order_id: int) -> OrderRecord:
    async with pool.acquire() as conn:
        order = await order_search.get_order(conn, order_id)
        record = await providers.get_provider(conn, order.provider) if order else None
    if order is None or record is None:
        raise UserError(f"there is no order {order_id}: see `smm-gateway order list`")
    if not is_worked_by_hand(record.kind):
        raise UserError(
            f"order {order_id} is delivered by {record.name}, which is asked how it stands: only "
            "orders that are worked by hand are reported on"
        )
    return order


def require_possible(order: Order, status: UpstreamStatus) -> None:
    """Whether an order can become what is reported of it, or is that already.

    Raises:
        UserError: when it cannot, with what is wrong.
    """
    assert status.word is not None
    to = REPORTED[status.word]
    if _is_in_runs(order):
        raise UserError(
            f"order {order.id} is a drip-feed, which is delivered in parts: report on those, as "
            f"`smm-gateway order show {order.id}` lists them, or stop it with "
            f"`smm-gateway order cancel {order.id}`"
        )
    if order.state in _NOT_PLACED:
        raise UserError(f"order {order.id} is {order.state}: it has not been handed over yet")
    if order.state in _IN_DOUBT:
        raise UserError(f"order {order.id} is in {order.state}: that has to be decided first")
    if to is OrderState.IN_PROGRESS:
        if order.state not in (OrderState.PLACED, OrderState.IN_PROGRESS):
            raise UserError(f"order {order.id} is {order.state}, which is its end")
        return
    target = refund_target(order, to, status.remains)
    if target is None:
        raise UserError(_impossible(order, to))
    ended = order.state not in (OrderState.PLACED, OrderState.IN_PROGRESS)
    if ended and (order.state is not to or target != order.refunded) and target <= order.refunded:
        raise UserError(
            f"order {order.id} is {order.state}: what was paid back is not taken again, so it "
            f"cannot become {to}"
        )


def _is_in_runs(order: Order) -> bool:
    """Whether it was never handed over itself, and yet has delivered or may."""
    ended = order.state in (OrderState.COMPLETED, OrderState.PARTIAL)
    return order.state is OrderState.SCHEDULED or (ended and not order.attempts)


def _impossible(order: Order, to: OrderState) -> str:
    if to is OrderState.PARTIAL:
        return (
            f"order {order.id} cannot be partial like that: --remains is 1 to {order.quantity}, "
            "and a package is delivered or canceled as a whole"
        )
    return (
        f"order {order.id} cannot be completed with {order.quantity} or more left: report partial"
    )
