"""How long orders take, by service: counted over the newest orders, found by their ids."""

from gateway.store.connection import Connection
from gateway.store.order_times import BEFORE_TIME, FROM_TIME
from schemas.speeds import ServiceSpeed

#: So many orders are looked at, the newest of the time: that is enough for every percentile.
_MOST_ORDERS = 50_000
_SINCE = FROM_TIME.format("(now() - $1 * interval '1 hour')")
_UNTIL = BEFORE_TIME.format("(now() - $2 * interval '1 hour')")


async def list_service_speeds(
    conn: Connection, *, from_hours: int, to_hours: int
) -> list[ServiceSpeed]:
    """Services by id, over orders that were accepted so many hours ago."""
    rows = await conn.fetch(
        f"""with recent as (
               select id, service_id, state, created_at, ended_at from orders
                where created_at >= now() - $1 * interval '1 hour'
                  and created_at < now() - $2 * interval '1 hour'
                  and id >= {_SINCE} and id < {_UNTIL}
                  and state not in ('canceled', 'failed')
                order by id desc limit $3),
           timed as (
               select r.service_id, r.state,
                      extract(epoch from (
                          select min(e.at) from order_event e
                           where e.order_id = r.id
                             and e.to_state in ('in_progress', 'completed', 'partial')
                          ) - r.created_at) as start,
                      extract(epoch from r.ended_at - r.created_at) as finish
                 from recent r)
           select t.service_id, s.name, count(*) as orders,
                  count(*) filter (where t.state = 'partial') as partial,
                  percentile_disc(0.5) within group (order by start)::int as start_p50,
                  percentile_disc(0.9) within group (order by start)::int as start_p90,
                  percentile_disc(0.5) within group (order by finish)::int as finish_p50,
                  percentile_disc(0.9) within group (order by finish)::int as finish_p90
             from timed t join service s on s.id = t.service_id
            group by t.service_id, s.name order by t.service_id""",  # noqa: S608 - constants only
        from_hours,
        to_hours,
        _MOST_ORDERS,
    )
    return [ServiceSpeed(**row) for row in rows]
