"""What the overview counts: orders by time, and what waits for a person."""

from dataclasses import dataclass
from datetime import datetime

from gateway.store.connection import Connection
from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class OrdersOfTime:
    """Orders accepted within one step of time, and their money as it stands now.

    ``revenue`` is what was charged and not refunded; ``cost`` is what their routes cost as planned,
    in proportion to what was kept of the charge.
    """

    at: datetime
    accepted: int
    revenue: Micros
    cost: Micros


async def list_orders_of_time(
    conn: Connection, *, steps: int, step_seconds: int
) -> list[OrdersOfTime]:
    """The last ``steps`` whole steps and the one that runs, oldest first, empty ones included.

    Parts of orders are within their parents.
    """
    rows = await conn.fetch(
        """with span as (
               select $2 * interval '1 second' as step,
                      date_bin($2 * interval '1 second', now(), 'epoch') as last)
           select t.at, count(o.id) as accepted,
                  coalesce(sum(o.charge - o.refunded), 0)::bigint as revenue,
                  coalesce(sum(o.cost::numeric * (o.charge - o.refunded) / o.charge), 0)::bigint
                      as cost
             from span, generate_series(last - $1 * step, last, step) as t(at)
             left join (
                 select id, charge, refunded, cost,
                        date_bin((select step from span), created_at, 'epoch') as at
                   from orders
                  where created_at >= (select last - $1 * step from span) and parent_id is null
             ) o on o.at = t.at
            group by t.at order by t.at""",
        steps,
        step_seconds,
    )
    return [OrdersOfTime(**row) for row in rows]
