"""The watching audit: what has changed since its last run, and a slice of what has not.

Each run looks at every order that is open or was open in the run before, at every order with new
ledger entries and the parts and parents of those, at the new entries themselves, and at all
balances. Besides it goes through old orders and entries again, slice by slice, so that whatever
the whole audit would find is found within one such tour. What it has found broken it looks at
again until that is mended.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from gateway.money.audit import Audit, Finding, findings
from gateway.store import watch as store
from gateway.store.audit import INVARIANTS, WARNINGS
from gateway.store.checks.check import Scope
from gateway.store.checks.guards import GUARDS
from gateway.store.checks.money import BALANCE_ABOVE_FLOOR, DETACHED_RANGES, NO_GAP
from gateway.store.connection import Connection, Pool, transaction
from gateway.store.versions import ORDER_ID_BLOCK
from gateway.store.watch import LAST_ENTRIES, SeenEntry, Watch

#: Orders, or entries, of one slice.
SLICE = 20_000
#: The notes on a detached range are proven all at once, when the tour comes to it.
_BY_ORDER = tuple(check for check in INVARIANTS if check.by_order and check is not DETACHED_RANGES)
_WHOLE = (LAST_ENTRIES, BALANCE_ABOVE_FLOOR, *GUARDS)


@dataclass(frozen=True, slots=True)
class Watched:
    """One run: what it found, how many orders it looked at, and where the audit stands now."""

    found: Audit
    orders: int
    watch: Watch


@dataclass(slots=True)
class _Part:
    """What one part of a run found, and where the next one goes on."""

    broken: list[Finding]
    next: int = 0


async def watch(pool: Pool, wait_ms: int, *, slice_size: int = SLICE) -> Watched | None:
    """Run the watching audit if its last run was ``wait_ms`` ago, in one snapshot.

    None when it is not due, or another process is just at it.
    """
    began = time.perf_counter()
    try:
        async with (
            pool.acquire() as conn,
            transaction(conn, isolation="repeatable read", unhurried=True),
        ):
            await store.lock_watch(conn)
            before = await store.get_watch(conn)
            if before.age_ms is not None and before.age_ms < wait_ms and not before.behind:
                return None
            return await _run(conn, before, slice_size, began)
    except asyncpg.LockNotAvailableError:
        return None


async def _run(conn: Connection, before: Watch, size: int, began: float) -> Watched:
    entries = await store.list_new_entries(conn, size)
    unfinished = await store.list_unfinished(conn)
    ids = {*before.checked, *unfinished, *(e.order_id for e in entries if e.order_id is not None)}
    ids.update(await store.list_family(conn, ids))
    changed = await _check_orders(conn, sorted(ids), size)
    moved = [*_gaps(entries)]
    swept = await _sweep_orders(conn, before.swept_to, size)
    old = await store.list_old_entries(conn, before.swept_entry, size)
    gaps = [*_gaps(old)]
    broken = [*changed, *moved, *swept.broken, *gaps, *await findings(conn, _WHOLE)]
    audit = Audit(tuple(dict.fromkeys(broken)), tuple(await findings(conn, WARNINGS)))
    await store.insert_marks(conn, _marks(entries))
    after = Watch(
        checked=sorted(ids) if changed else unfinished,
        swept_to=before.swept_to if swept.broken else swept.next,
        swept_entry=before.swept_entry if gaps else _after(old, size),
        age_ms=0,
        elapsed_ms=int((time.perf_counter() - began) * 1000),
        broken=len(audit.broken),
        warnings=len(audit.warnings),
        behind=len(entries) == size and not moved,
    )
    await store.set_watch(conn, after)
    return Watched(audit, len(ids), after)


async def _check_orders(conn: Connection, ids: Sequence[int], size: int) -> list[Finding]:
    return [
        finding
        for first in range(0, len(ids), size)
        for finding in await findings(conn, _BY_ORDER, Scope.these(ids[first : first + size]))
    ]


async def _sweep_orders(conn: Connection, lower: int, size: int) -> _Part:
    """The next slice of orders by id, or the notes on the next detached range."""
    detached = await store.get_detached_at(conn, lower)
    if detached is not None:
        return _Part(
            await findings(conn, [DETACHED_RANGES], Scope.these(detached[:1])), detached[1]
        )
    upper = lower + size
    if upper > await store.get_last_order_id(conn) + ORDER_ID_BLOCK:
        # The last slice has no end: what points at orders that never were is beyond it.
        return _Part(await findings(conn, _BY_ORDER, Scope.between(lower, 2**31)))
    return _Part(await findings(conn, _BY_ORDER, Scope.between(lower, upper)), upper)


def _gaps(entries: Iterable[SeenEntry]) -> Iterable[Finding]:
    for entry in entries:
        if not entry.sound:
            row = f"reseller {entry.reseller_id} entry {entry.position}"
            yield Finding(NO_GAP.name, NO_GAP.meaning, row)


def _marks(entries: Iterable[SeenEntry]) -> list[SeenEntry]:
    """The last entry of each reseller whose entries are all sound."""
    last: dict[int, SeenEntry] = {}
    broken = set()
    for entry in entries:
        last[entry.reseller_id] = entry
        if not entry.sound:
            broken.add(entry.reseller_id)
    return [entry for reseller_id, entry in last.items() if reseller_id not in broken]


def _after(entries: Sequence[SeenEntry], size: int) -> tuple[int, int]:
    """Where the next slice of entries begins; from the beginning after the last one."""
    if len(entries) < size:
        return (0, 0)
    return (entries[-1].reseller_id, entries[-1].position)


async def last_run(pool: Pool) -> Watch:
    """Where the watching audit stands, whichever process has run it."""
    async with pool.acquire() as conn:
        return await store.get_watch(conn)
