"""The audit's queries: all invariants, and how one is checked."""

from gateway.store.checks.aftercare import AFTERCARE
from gateway.store.checks.check import EVERYTHING, Check, Scope
from gateway.store.checks.guards import GUARDS
from gateway.store.checks.histories import HISTORIES
from gateway.store.checks.money import MONEY
from gateway.store.checks.parts import PARTS
from gateway.store.checks.waits import WAITS
from gateway.store.connection import Connection

INVARIANTS: tuple[Check, ...] = (*MONEY, *HISTORIES, *PARTS, *AFTERCARE, *GUARDS)
WARNINGS: tuple[Check, ...] = WAITS


async def list_broken(conn: Connection, check: Check, scope: Scope = EVERYTHING) -> list[str]:
    """The rows that break one invariant, of the orders in the scope where it goes by orders."""
    rows = await conn.fetch(check.sql_for(scope), *(scope.arguments if check.by_order else ()))
    return [row[0] for row in rows]
