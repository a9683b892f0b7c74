"""Money that waits for a second operator's word."""

from gateway.store.connection import Connection, Record
from schemas.money import Micros
from schemas.money_moves import Confirmation, ConfirmationState, MoneyCause
from schemas.operators import Warrant

_SELECT = """select c.id, c.at, r.name as reseller, c.cause, c.amount, c.reason, c.asked_by,
                    c.state, c.decided_by, c.decided_at
               from confirmation c join reseller r on r.id = c.reseller_id"""


def _read(row: Record) -> Confirmation:
    words = {"cause": MoneyCause(row["cause"]), "state": ConfirmationState(row["state"])}
    return Confirmation(**{**row, **words})


async def insert_confirmation(
    conn: Connection, reseller_id: int, cause: MoneyCause, amount: Micros, warrant: Warrant
) -> int | None:
    """Have an amount wait; its id, None where the same request waits or has waited already."""
    number: int | None = await conn.fetchval(
        """insert into confirmation (reseller_id, cause, amount, reason, asked_by, request)
           values ($1, $2, $3, $4, $5, $6) on conflict (request) do nothing returning id""",
        reseller_id,
        cause,
        amount,
        warrant.reason,
        warrant.actor.name,
        warrant.request,
    )
    return number


async def get_confirmation_id(conn: Connection, request: str) -> int | None:
    """Under which number that waits, or waited, what a request has asked for."""
    number: int | None = await conn.fetchval(
        "select id from confirmation where request = $1", request
    )
    return number


async def lock_confirmation(conn: Connection, confirmation_id: int) -> Confirmation | None:
    """One of them, which nobody else decides until the transaction ends."""
    row = await conn.fetchrow(f"{_SELECT} where c.id = $1 for update of c", confirmation_id)
    return _read(row) if row else None


async def list_confirmations(conn: Connection, *, waiting: bool, limit: int) -> list[Confirmation]:
    """The newest first; only those that wait, or all."""
    rows = await conn.fetch(
        f"{_SELECT} where not $1 or c.state = 'waiting' order by c.id desc limit $2",
        waiting,
        limit,
    )
    return [_read(row) for row in rows]


async def set_confirmation_decided(
    conn: Connection, confirmation_id: int, state: ConfirmationState, actor: str
) -> None:
    """End the waiting."""
    await conn.execute(
        """update confirmation set state = $2, decided_by = $3, decided_at = now()
            where id = $1""",
        confirmation_id,
        state,
        actor,
    )
