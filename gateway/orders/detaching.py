"""Detaching: ranges of finished orders leave the big tables and stand alone.

``alter table … detach partition … concurrently`` would keep nobody waiting, but cannot run in a
transaction: three tables would be detached one after the other, and a range be half there in
between. So it is done at once, under locks that are waited for briefly and held for milliseconds.
All that takes long comes before them.
"""

import asyncio

import asyncpg

from gateway.errors import UserError
from gateway.money.audit import findings
from gateway.store import ranges as store
from gateway.store.audit import INVARIANTS
from gateway.store.checks.check import Scope
from gateway.store.connection import Connection, Pool, transaction
from schemas.ranges import OrderRange, RangeRecord

_BY_ORDER = tuple(check for check in INVARIANTS if check.by_order)
_LOCK_MS = 500
_MOST_TRIES = 20
_PAUSE_SECONDS = 1.0
_SHOWN = 3


async def list_ranges(pool: Pool) -> list[tuple[RangeRecord, list[str]]]:
    """All ranges with why they may not be detached; of detached ones nothing is said."""
    async with (
        pool.acquire() as conn,
        transaction(conn, isolation="repeatable read, read only", unhurried=True),
    ):
        detached = await store.list_detached_ranges(conn)
        kept = [
            (await store.get_range_record(conn, part), await _holds(conn, part))
            for part in await store.list_order_ranges(conn)
        ]
    return [*((record, []) for record in detached), *kept]


async def detach(pool: Pool, lower: int) -> RangeRecord:
    """Detach the range that begins at the order id ``lower``; returns what is noted of it.

    Raises:
        UserError: when there is no such range, something in it may still change, the audit finds
            it broken, somebody uses the tables all the time, or we do not own them.
    """
    try:
        return await _detach_range(pool, lower)
    except asyncpg.InsufficientPrivilegeError as error:
        raise UserError(
            f"only the owner of the tables may detach one ({error}): name the owner's "
            "database.migration_url"
        ) from None


async def _detach_range(pool: Pool, lower: int) -> RangeRecord:
    async with pool.acquire() as conn:
        part = await _find(conn, lower)
        _refuse(part, await _holds(conn, part))
        async with transaction(conn, isolation="repeatable read, read only", unhurried=True):
            broken = await findings(conn, _BY_ORDER, Scope.between(part.lower, part.upper))
        if broken:
            rows = "; ".join(f"{f.check}: {f.row}" for f in broken[:_SHOWN])
            raise UserError(
                f"the range from {lower} is broken ({rows}): see `smm-gateway audit`, and mend it"
                " before it is detached"
            )
        await _detach(conn, part)
        return next(r for r in await store.list_detached_ranges(conn) if r.lower == lower)


async def _find(conn: Connection, lower: int) -> OrderRange:
    found = await store.list_order_ranges(conn)
    for part in found:
        if part.lower == lower:
            return part
    if any(record.lower == lower for record in await store.list_detached_ranges(conn)):
        raise UserError(f"the range from {lower} is detached already")
    there = ", ".join(str(part.lower) for part in found)
    raise UserError(f"no range begins at {lower}: there are those from {there}")


async def _holds(conn: Connection, part: OrderRange) -> list[str]:
    holds = await store.list_range_holds(conn, part.lower, part.upper)
    reasons = [f"{number} {kind}" for kind, number in holds.items()]
    if not await store.get_range_closed(conn, part.upper):
        reasons.append("its ids are still being given, or were within the last hour")
    return reasons


def _refuse(part: OrderRange, reasons: list[str]) -> None:
    if reasons:
        raise UserError(f"the range from {part.lower} cannot be detached yet: {', '.join(reasons)}")


async def _detach(conn: Connection, part: OrderRange) -> None:
    """Note and detach in one transaction.

    What is noted is read before the tables are locked, because that takes long. Nothing can have
    changed then: whatever changes an order finds it open or watched, and there is none, which is
    looked at once more behind the locks.
    """
    async with transaction(conn, unhurried=True):
        await store.insert_detached_range(conn, part)
        for _ in range(_MOST_TRIES):
            if await store.lock_ranged_tables(conn, _LOCK_MS):
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            raise UserError(
                "the tables were in use all the time: end what reads them for long, like an audit"
                " or a dump, and try again"
            )
        _refuse(part, await _holds(conn, part))
        await store.set_range_detached(conn, part)
