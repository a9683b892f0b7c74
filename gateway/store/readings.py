"""What provider accounts held, each time that they were asked."""

from datetime import datetime

from gateway.store.connection import Connection
from schemas.doubts import Reading
from schemas.money import Micros


async def insert_reading(
    conn: Connection, provider_id: int, amount: Micros, currency: str, took_ms: int
) -> None:
    """A balance that was just told, by an answer that took so long."""
    await conn.execute(
        """insert into balance_reading (provider_id, asked_at, at, amount, currency)
           values ($1, clock_timestamp() - $4 * interval '1 ms', clock_timestamp(), $2, $3)
           on conflict do nothing""",
        provider_id,
        amount,
        currency,
        took_ms,
    )


async def delete_old_readings(conn: Connection, provider_id: int) -> None:
    """Forget what nobody will ask for any more."""
    await conn.execute(
        "delete from balance_reading where provider_id = $1 and at < now() - interval '3 days'",
        provider_id,
    )


async def list_readings(conn: Connection, provider_id: int, since: datetime) -> list[Reading]:
    """The readings since then, and the dozen before, oldest first."""
    rows = await conn.fetch(
        """(select asked_at, at, amount, currency from balance_reading
             where provider_id = $1 and at >= $2)
           union all
           (select asked_at, at, amount, currency from balance_reading
             where provider_id = $1 and at < $2 order by at desc limit 12)
           order by at""",
        provider_id,
        since,
    )
    return [Reading(*row) for row in rows]
