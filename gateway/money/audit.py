"""The audit: proves in one snapshot of the database that money, orders and history agree."""

from dataclasses import dataclass

from gateway.store import audit as store
from gateway.store.connection import Pool, lift_statement_limit, transaction
from schemas.orders import MOVES


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
    legal = [f"{before}>{after}" for before, ends in MOVES.items() for after in ends]
    async with pool.acquire() as conn, transaction(conn, isolation="repeatable read, read only"):
        await lift_statement_limit(conn)
        broken = [
            Finding(check.name, check.meaning, row)
            for check in store.INVARIANTS
            for row in await store.list_broken(conn, check)
        ]
        broken += [
            Finding("legal_moves", "orders move only as the state machine allows", row)
            for row in await store.list_illegal_moves(conn, legal)
        ]
        warnings = [
            Finding(check.name, check.meaning, row)
            for check in store.WARNINGS
            for row in await store.list_broken(conn, check)
        ]
    return Audit(tuple(broken), tuple(warnings))
