"""A reseller's statement: the movements of its balance, the newest first."""

from dataclasses import dataclass
from datetime import datetime

from gateway.store.connection import Connection
from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One movement; ``amount`` has the sign that it has for the reseller."""

    position: int
    at: datetime
    cause: str
    amount: Micros
    balance_after: Micros
    order_id: int | None
    note: str | None


async def list_statement(
    conn: Connection, reseller_id: int, *, before: int | None, limit: int
) -> list[StatementRow]:
    """The newest movements before the position ``before``."""
    rows = await conn.fetch(
        """select position, at, cause, signed as amount, balance_after, order_id, note
             from statement where reseller_id = $1 and ($2::bigint is null or position < $2)
            order by position desc limit $3""",
        reseller_id,
        before,
        limit,
    )
    return [StatementRow(**row) for row in rows]
