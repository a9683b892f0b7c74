"""One order's history and money, in the order in which they happened."""

from dataclasses import dataclass
from datetime import datetime

from gateway.store.connection import Connection
from schemas.money import Micros
from schemas.orders import OrderState


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One move of an order."""

    version: int
    before: OrderState
    after: OrderState
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """One movement of an order's money; ``amount`` has the sign that it has for the reseller."""

    at: datetime
    cause: str
    amount: Micros
    note: str | None


async def list_events(conn: Connection, order_id: int) -> list[OrderEvent]:
    """The moves of an order, oldest first."""
    rows = await conn.fetch(
        """select version, from_state, to_state, cause, at from order_event
            where order_id = $1 order by version""",
        order_id,
    )
    return [
        OrderEvent(row[0], OrderState(row[1]), OrderState(row[2]), row[3], row[4]) for row in rows
    ]


async def list_order_entries(conn: Connection, order_id: int) -> list[OrderEntry]:
    """The movements of an order's money, oldest first."""
    rows = await conn.fetch(
        """select at, cause, signed as amount, note from statement
            where order_id = $1 order by at, position""",
        order_id,
    )
    return [OrderEntry(**row) for row in rows]


async def list_provider_aliases(conn: Connection) -> dict[str, str]:
    """What stands for each provider's name where the name is not for everybody's eyes."""
    rows = await conn.fetch(
        "select name, coalesce(alias, 'provider ' || id) as alias from provider"
    )
    return {row["name"]: row["alias"] for row in rows}
