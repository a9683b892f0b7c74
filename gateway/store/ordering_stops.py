"""Who may not order now: everybody, or single resellers."""

from gateway.store.connection import Connection
from schemas.resellers import OrderingStop

_SELECT = """select r.name as reseller, s.reason, s.actor, s.at
               from ordering_stop s left join reseller r on r.id = s.reseller_id"""


async def set_ordering_stopped(
    conn: Connection, reseller_id: int | None, reason: str, actor: str
) -> bool:
    """Stop a reseller's ordering, None everybody's; False when it is stopped already."""
    tag = await conn.execute(
        """insert into ordering_stop (reseller_id, reason, actor) values ($1, $2, $3)
           on conflict on constraint ordering_stop_once do nothing""",
        reseller_id,
        reason,
        actor,
    )
    return tag == "INSERT 0 1"


async def set_ordering_started(conn: Connection, reseller_id: int | None) -> bool:
    """End a stop; False when there is none."""
    tag = await conn.execute(
        "delete from ordering_stop where reseller_id is not distinct from $1", reseller_id
    )
    return tag == "DELETE 1"


async def list_ordering_stops(conn: Connection) -> list[OrderingStop]:
    """What is stopped, the stop of all first."""
    rows = await conn.fetch(f"{_SELECT} order by s.reseller_id nulls first")
    return [OrderingStop(**row) for row in rows]
