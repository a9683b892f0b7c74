"""The audit: proves in one snapshot of the database that money, orders and history agree."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.store import audit as store
from gateway.store.checks.check import EVERYTHING, Check, Scope
from gateway.store.connection import Connection, Pool, transaction


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that breaks an invariant, or waits too long."""

    check: str
    meaning: str
    row: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. ``warnings`` are rows that wait too long; they break nothing."""

    broken: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every invariant holds."""
        return not self.broken


async def audit(pool: Pool) -> Audit:
    """Check every invariant on one consistent snapshot, without locking anything."""
    async with (
        pool.acquire() as conn,
        transaction(conn, isolation="repeatable read, read only", unhurried=True),
    ):
        broken = await findings(conn, store.INVARIANTS)
        warnings = await findings(conn, store.WARNINGS)
    return Audit(tuple(broken), tuple(warnings))


async def findings(
    conn: Connection, checks: Iterable[Check], scope: Scope = EVERYTHING
) -> list[Finding]:
    """What some checks find, of the orders in the scope; in the caller's snapshot."""
    return [
        Finding(check.name, check.meaning, row)
        for check in checks
        for row in await store.list_broken(conn, check, scope)
    ]
