"""Giving back a claim whose COMMIT got no answer: we have sent none of it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog

from gateway.metrics import COMMIT_DOUBTS
from gateway.orders.contradicting import taken_before
from gateway.orders.lifecycle import move
from gateway.orders.settling import report, write_changes
from gateway.store import attempts, orders
from gateway.store.connection import TRANSIENT, Pool, transaction
from schemas.orders import AttemptResult, AttemptState, ClaimedOrder, OrderChange, OrderState

log = structlog.get_logger()

_PAUSE_SECONDS = 0.5
#: A turn gets so long; what is left of it is undone.
_TURN_SECONDS = 5.0


async def give_back(
    pool: Pool, taken: Sequence[ClaimedOrder], claimed_at: datetime, seconds: float
) -> None:
    """Put orders back into the queue, for as long as their lease lasts.

    Only what this claim has taken, by when it began: if it was rolled back, somebody else may have
    taken the same orders with attempts of the same numbers, and may be sending them.
    """
    ids = [order.id for order in taken]
    log.warning("claim.in_doubt", order_id=ids)
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while clock() < end:
        try:
            changes = await _give_back(pool, taken, claimed_at)
        except TRANSIENT as error:
            log.warning("claim.still_in_doubt", order_id=ids, reason=type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        report(changes)
        COMMIT_DOUBTS.labels("claim", "resolved").inc()
        log.info("claim.out_of_doubt", order_id=ids, given_back=len(changes))
        return
    COMMIT_DOUBTS.labels("claim", "given_up").inc()
    log.error("claim.left_to_its_lease", order_id=ids)


async def _give_back(
    pool: Pool, taken: Sequence[ClaimedOrder], claimed_at: datetime
) -> list[OrderChange]:
    async with (
        asyncio.timeout(_TURN_SECONDS) as limit,
        pool.acquire() as conn,
        transaction(conn, patience=_TURN_SECONDS),
    ):
        # Waits until the claim has ended, because it holds these locks.
        locked = await orders.lock_orders(conn, [order.id for order in taken])
        ours = await attempts.list_intents(conn, [order.id for order in locked], claimed_at)
        await attempts.set_attempt_results(
            conn, [_not_sent(order) for order in taken if order.id in ours]
        )
        changes: list[OrderChange] = []
        for order in (order for order in locked if order.id in ours):
            kept = await taken_before(conn, order)
            queued = [move(order, OrderState.QUEUED, "claim_in_doubt")]
            changes += queued if kept is None else kept
        await write_changes(conn, changes)
        limit.reschedule(None)  # a COMMIT is never cut off
    return changes


def _not_sent(order: ClaimedOrder) -> AttemptResult:
    return AttemptResult(
        order_id=order.id,
        number=order.attempts,
        state=AttemptState.NOT_SENT,
        upstream_id=None,
        reason="the COMMIT of the claim was not answered, so nothing was sent",
        http_status=None,
        body=None,
        elapsed_ms=None,
        started_at=order.started_at,
    )
