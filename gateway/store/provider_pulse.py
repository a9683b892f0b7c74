"""How provider accounts do lately: what they answered, how fast, and what is open there."""

from datetime import datetime
from typing import NamedTuple

from gateway.store.connection import Connection
from gateway.store.order_times import FROM_TIME
from schemas.money import Micros
from schemas.orders import OPEN_STATES


class Pulse(NamedTuple):
    """One account in the last hour; None where nothing was sent.

    ``tried`` counts attempts, ``failed`` those that came to nothing certain; times are in ms.
    """

    provider_id: int
    tried: int
    failed: int
    median_ms: int | None
    slow_ms: int | None
    open_orders: int


class HourlyBalance(NamedTuple):
    """What an account held at the end of an hour."""

    provider_id: int
    at: datetime
    amount: Micros


async def list_pulses(conn: Connection, since: datetime) -> list[Pulse]:
    """The pulse of all accounts, of the attempts since then."""
    rows = await conn.fetch(
        f"""with lately as (
                select provider_id, count(*) as tried,
                       count(*) filter (where state in ('unknown', 'not_sent')) as failed,
                       percentile_disc(0.5) within group (order by elapsed_ms) as median_ms,
                       percentile_disc(0.9) within group (order by elapsed_ms) as slow_ms
                  from attempt
                 where started_at >= $1 and state <> 'intent'
                   and order_id >= {FROM_TIME.format("$1")}
                 group by provider_id),
             waiting as (
                select provider_id, count(*) as number from orders
                 where state = any($2) group by provider_id)
            select p.id, coalesce(l.tried, 0), coalesce(l.failed, 0), l.median_ms, l.slow_ms,
                   coalesce(w.number, 0)
              from provider p
              left join lately l on l.provider_id = p.id
              left join waiting w on w.provider_id = p.id
             order by p.id""",  # noqa: S608 - constants only
        since,
        [state.value for state in OPEN_STATES],
    )
    return [Pulse(*row) for row in rows]


async def list_hourly_balances(conn: Connection) -> list[HourlyBalance]:
    """What all accounts held hour by hour, as far back as readings are kept, oldest first."""
    rows = await conn.fetch(
        """select r.provider_id, date_bin('1 hour', r.at, 'epoch') as hour,
                  (array_agg(r.amount order by r.at desc))[1]
             from balance_reading r
             join provider p on p.id = r.provider_id and p.currency = r.currency
            group by 1, 2 order by 1, 2"""
    )
    return [HourlyBalance(*row) for row in rows]
