"""What provider accounts held, and what we expected them to pay."""

from gateway.store.connection import Connection
from schemas.funds import FundsRow


async def list_funds_rows(conn: Connection, provider_id: int, limit: int) -> list[FundsRow]:
    """The newest readings of an account, each with what was spent since the one before."""
    rows = await conn.fetch(
        """with readings as (
               select at, amount, lag(at) over w as earlier, lag(amount) over w as amount_before
                 from (select at, amount from balance_reading where provider_id = $1
                        order by at desc limit $2 + 1) newest
               window w as (order by at)),
           edges as (select array_agg(at order by at) as edge from readings),
           spent as (
               select width_bucket(a.started_at, edge) as place, sum(o.cost)::bigint as cost
                 from edges, attempt a join orders o on o.id = a.order_id
                where a.provider_id = $1 and a.state = 'placed'
                  and a.started_at >= edge[1] and a.started_at < edge[cardinality(edge)]
                group by 1),
           numbered as (select *, row_number() over (order by at) as place from readings)
           select n.at, n.amount, n.amount - n.amount_before as change,
                  case when n.earlier is not null then coalesce(s.cost, 0) end as expected
             from numbered n left join spent s on s.place = n.place - 1
            order by n.at desc limit $2""",
        provider_id,
        limit,
    )
    return [FundsRow(**row) for row in rows]
