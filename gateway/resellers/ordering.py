"""The switch that stops ordering: reads, tracking, refunds and what was accepted go on.

Each process asks the database what a key opens every few seconds, and whether it may order is part
of the answer: no process needs to be told.
"""

import structlog

from gateway.operators.acting import record, require_reason
from gateway.resellers.accounts import find_reseller
from gateway.store import ordering_stops as store
from gateway.store.connection import Connection, Pool, transaction
from schemas.operators import Subject, Warrant

log = structlog.get_logger()


async def stop_ordering(pool: Pool, reseller: str | None, warrant: Warrant) -> bool:
    """Take no orders of a reseller, or of nobody where it is None; False when that is so already.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when there is no such reseller, or no reason.
    """
    reason = require_reason(warrant)
    async with pool.acquire() as conn, transaction(conn):
        reseller_id = await _id_of(conn, reseller)
        stopped = await store.set_ordering_stopped(conn, reseller_id, reason, warrant.actor.name)
        if stopped:
            await record(conn, warrant.act("ordering.stopped", _subject(reseller)))
    if stopped:
        log.info("ordering.stopped", reseller=reseller, actor=warrant.actor.name, reason=reason)
    return stopped


async def start_ordering(pool: Pool, reseller: str | None, warrant: Warrant) -> bool:
    """Take orders again; False when they were taken. A stop of all does not end those of single
    resellers, nor the other way round.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when there is no such reseller, or no reason.
    """
    require_reason(warrant)
    async with pool.acquire() as conn, transaction(conn):
        started = await store.set_ordering_started(conn, await _id_of(conn, reseller))
        if started:
            await record(conn, warrant.act("ordering.started", _subject(reseller)))
    if started:
        log.info("ordering.started", reseller=reseller, actor=warrant.actor.name)
    return started


async def _id_of(conn: Connection, reseller: str | None) -> int | None:
    return None if reseller is None else (await find_reseller(conn, reseller)).id


def _subject(reseller: str | None) -> Subject:
    return Subject("gateway", "ordering") if reseller is None else Subject("reseller", reseller)
