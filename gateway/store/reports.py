"""Sums of the ledger for reports.

They are read from the ledger itself, so that they cannot say anything else than it does. A part of
the time is found by a summary of the table's parts, because entries are written in the order of
their time, and their orders are found by ids, which lie together as well: what a report costs hangs
on the time that it spans, not on the age of the gateway.
"""

from datetime import datetime

from gateway.store.connection import Connection
from schemas.reports import Dimension, Period, ReportRow

_COLUMNS = {
    Dimension.TOTAL: "null::int",
    Dimension.SERVICE: "o.service_id",
    Dimension.PROVIDER: "o.provider_id",
    Dimension.RESELLER: "e.reseller_id",
}
_NAMES = {
    Dimension.TOTAL: "null::text",
    Dimension.SERVICE: "key::text",
    Dimension.PROVIDER: "(select name from provider where id = key)",
    Dimension.RESELLER: "(select name from reseller where id = key)",
}


async def list_report_rows(
    conn: Connection,
    period: Period,
    dimension: Dimension,
    *,
    since: datetime,
    until: datetime,
    time_zone: str,
) -> list[ReportRow]:
    """The sums of all movements from ``since`` on and before ``until``, oldest first.

    A refund counts when it was paid, under the order that it was paid for.
    """
    rows = await conn.fetch(
        f"""with moves as (
                select date_trunc($1, e.at at time zone $4)::date as begins,
                       {_COLUMNS[dimension]} as key, e.cause, e.amount, o.quantity,
                       case when e.cause = 'charge' then o.cost
                            else -o.cost * e.amount::numeric / nullif(o.charge, 0) end as cost
                  from entry e left join orders o on o.id = e.order_id
                 where e.at >= $2 and e.at < $3 and e.cause in ('charge', 'refund')),
               sums as (
                select begins, key, count(*) filter (where cause = 'charge') as orders,
                       coalesce(sum(quantity) filter (where cause = 'charge'), 0) as quantity,
                       coalesce(sum(amount) filter (where cause = 'charge'), 0) as revenue,
                       coalesce(sum(amount) filter (where cause = 'refund'), 0) as refunds,
                       coalesce(round(sum(cost)), 0) as cost
                  from moves group by begins, key)
           select begins, {_NAMES[dimension]} as key, orders, quantity::bigint, revenue::bigint,
                  refunds::bigint, cost::bigint
             from sums order by begins, sums.key""",  # noqa: S608 - constants only
        period,
        since,
        until,
        time_zone,
    )
    return [ReportRow(**row) for row in rows]
