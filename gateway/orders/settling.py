"""Settling: writes decisions about orders, with their history and the money that they move."""

from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from gateway.metrics import (
    COMMIT_DOUBTS,
    MOVES,
    PROVIDER_NAMES,
    REFUNDS,
    REROUTES,
    SETTLED_COST,
    SETTLED_REVENUE,
    count_movements,
)
from gateway.money.ledger import Book
from gateway.store import attempts, orders, schedules
from gateway.store.connection import CommitInDoubt, Connection, Pool, transaction
from schemas.orders import FINAL_STATES, Order, OrderChange
from schemas.services import SERVICE_TYPES

log = structlog.get_logger()

Decide = Callable[[Order], OrderChange | None]


class OrderConflict(Exception):
    """An order was not what its lock had shown: a defect, the transaction must not commit."""


async def settle(pool: Pool, order_ids: Sequence[int], decide: Decide) -> list[OrderChange]:
    """Lock the orders, decide about each, and write what was decided: all in one transaction.

    When its COMMIT gets no answer, the same is done again: the locks are held until the first one
    has ended, and what it has moved is decided as it stands then.
    """
    try:
        return await _settle(pool, order_ids, decide)
    except CommitInDoubt:
        COMMIT_DOUBTS.labels("settle", "again").inc()
        log.warning("settle.in_doubt", order_id=list(order_ids))
        return await _settle(pool, order_ids, decide)


async def _settle(pool: Pool, order_ids: Sequence[int], decide: Decide) -> list[OrderChange]:
    async with pool.acquire() as conn, transaction(conn):
        locked = await orders.lock_orders(conn, order_ids)
        changes = [change for order in locked if (change := decide(order)) is not None]
        await write_changes(conn, changes)
    report(changes)
    return changes


async def write_changes(conn: Connection, changes: Sequence[OrderChange]) -> None:
    """Write changes of locked orders. Balances are locked here, always after orders.

    Raises:
        OrderConflict: when an order is not as it was when it was locked.
    """
    if not changes:
        return
    refunds = [change for change in changes if change.refund]
    book = await Book.open(conn, [c.order.reseller_id for c in refunds]) if refunds else None
    if await orders.set_orders(conn, changes) != len(changes):
        raise OrderConflict(f"orders changed under their lock: {[c.order.id for c in changes]}")
    moved = [change for change in changes if change.moved]
    if moved:
        await attempts.insert_events(conn, moved)
        parents = {c.order.parent_id for c in moved if c.order.parent_id is not None}
        if parents:
            await schedules.set_parents_due(conn, parents)
    if book is not None:
        for change in refunds:
            order = change.order
            book.refund(order.reseller_id, change.refund, order.id, order.refunded)
        await book.write(conn)


def report(changes: Sequence[OrderChange]) -> None:
    """Log and count moves, once they are committed."""
    for state, number in Counter(change.state for change in changes if change.moved).items():
        MOVES.labels(state).inc(number)
    for change in changes:
        order = change.order
        if change.moved:
            log.info(
                "order.moved",
                order_id=order.id,
                request_id=order.request_id,
                state=change.state,
                before=order.state,
                cause=change.cause,
                refund=change.refund,
            )
        if change.route is not None:
            REROUTES.labels(change.cause).inc()
        if change.refund:
            REFUNDS.labels(order.currency).inc(change.refund)
            count_movements("refund", order.currency, change.refund)
        if change.moved and change.state in FINAL_STATES:
            _count_margin(change)


def _count_margin(change: OrderChange) -> None:
    """Count what an order that has ended brought in and cost; parents are counted by their parts.

    The cost is what was expected, in the proportion in which the charge was kept. A part may be so
    small that its share of the charge is 0: it has no proportion.
    """
    order = change.order
    is_parent = order.parent_id is None and bool(SERVICE_TYPES[order.service_type].times)
    if is_parent or order.cost is None or (change.upstream_id or order.upstream_id) is None:
        return
    if order.charge == 0:
        return
    provider = PROVIDER_NAMES.get(change.provider_id, str(change.provider_id))
    kept = order.charge - order.refunded - change.refund
    SETTLED_REVENUE.labels(provider).inc(kept)
    SETTLED_COST.labels(provider).inc(order.cost * kept // order.charge)
