"""How provider accounts do lately: what they answered, how fast, and what is open there."""

from datetime import datetime
from typing import NamedTuple

from gateway.store.connection import Connection
from gateway.store.order_times import FROM_TIME
from schemas.money import Micros

#: Each arm says what one of the small indexes of open orders is for, so that it is read instead of
#: all orders.
_OPEN = " union all ".join(
    f"select provider_id, count(*) as number from orders where {which} group by provider_id"  # noqa: S608 - constants only
    for which in (
        "state = 'scheduled'",
        "state = 'queued'",
        "state = 'sending'",
        "state in ('placed', 'in_progress')",
        "state in ('unknown', 'review')",
    )
)
_PULSES = f"""
    with lately as (
        select provider_id, count(*) as tried,
               count(*) filter (where state in ('unknown', 'not_sent')) as failed,
               percentile_disc(0.5) within group (order by elapsed_ms) as median_ms,
               percentile_disc(0.9) within group (order by elapsed_ms) as slow_ms
          from attempt
         where started_at >= $1 and state <> 'intent' and order_id >= {FROM_TIME.format("$1")}
         group by provider_id),
     waiting as (select provider_id, sum(number)::bigint as number from ({_OPEN}) group by 1)
    select p.id, coalesce(l.tried, 0), coalesce(l.failed, 0), l.median_ms, l.slow_ms,
           coalesce(w.number, 0)
      from provider p
      left join lately l on l.provider_id = p.id
      left join waiting w on w.provider_id = p.id
     order by p.id"""  # noqa: S608 - constants only


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
    rows = await conn.fetch(_PULSES, since)
    return [Pulse(*row) for row in rows]


async def list_pulses_plan(conn: Connection, since: datetime) -> list[str]:
    """How the server would take the pulse."""
    return [row[0] for row in await conn.fetch(f"explain {_PULSES}", since)]


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
