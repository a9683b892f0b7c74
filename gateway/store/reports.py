"""Sums of the ledger for reports.

They are read from the ledger itself, so that they cannot say anything else than it does. A part of
the time is found by a summary of the table's parts, because entries are written in the order of
their time, and their orders are found by ids, which lie together as well: what a report costs hangs
on the time that it spans, not on the age of the gateway.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from gateway.store.connection import Connection
from schemas.money import Micros
from schemas.reports import Dimension

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


class ReportPart(NamedTuple):
    """Sums over a part of a report's time, under one key, which is an id and has a name.

    Money is in micro-units; ``cost`` is not rounded, so that parts can be added up.
    """

    key_id: int | None
    key: str | None
    orders: int
    quantity: int
    revenue: Micros
    refunds: Micros
    cost: Decimal


async def list_report_parts(
    conn: Connection, dimension: Dimension, *, since: datetime, until: datetime
) -> list[ReportPart]:
    """The sums of all movements from ``since`` on and before ``until``.

    A refund counts when it was paid, under the order that it was paid for.
    """
    rows = await conn.fetch(
        f"""with moves as (
                select {_COLUMNS[dimension]} as key, e.cause, e.amount, o.quantity,
                       case when e.cause = 'charge' then o.cost
                            else -o.cost * e.amount::numeric / nullif(o.charge, 0) end as cost
                  from entry e left join orders o on o.id = e.order_id
                 where e.at >= $1 and e.at < $2 and e.cause in ('charge', 'refund')),
               sums as (
                select key, count(*) filter (where cause = 'charge') as orders,
                       coalesce(sum(quantity) filter (where cause = 'charge'), 0) as quantity,
                       coalesce(sum(amount) filter (where cause = 'charge'), 0) as revenue,
                       coalesce(sum(amount) filter (where cause = 'refund'), 0) as refunds,
                       coalesce(sum(cost), 0) as cost
                  from moves group by key)
           select key as key_id, {_NAMES[dimension]} as key, orders, quantity::bigint,
                  revenue::bigint, refunds::bigint, cost
             from sums""",  # noqa: S608 - constants only
        since,
        until,
    )
    return [ReportPart(*row) for row in rows]
