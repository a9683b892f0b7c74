"""What was sold: sums of the ledger in an operator's time zone, day by day or month by month.

A long span is read in parts, each by a statement of its own, so that none takes long and somebody
who waits sees how far it is. Parts end with a month, so that no row is cut in two.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from gateway.errors import UserError
from gateway.reports.sheets import sheet
from gateway.store import reports as store
from gateway.store.connection import Pool
from schemas.money import UNIT, Micros
from schemas.reports import Dimension, Period, ReportRow

_LONGEST_DAYS = 3_700


def months_between(first: date, last: date) -> list[tuple[date, date]]:
    """The days ``first`` to ``last``, both in it, cut at the ends of months: (from, before)."""
    parts = []
    begin = first
    while begin <= last:
        following = (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = min(following, last + timedelta(days=1))
        parts.append((begin, end))
        begin = end
    return parts


async def sales_report(
    pool: Pool,
    period: Period,
    dimension: Dimension,
    *,
    first: date,
    last: date,
    time_zone: str,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[ReportRow]:
    """The rows of a report over the days ``first`` to ``last``, both in it.

    ``tell`` hears how many parts are done, of how many.

    Raises:
        UserError: for a span that ends before it begins, or is longer than ten years.
    """
    if last < first or (last - first).days > _LONGEST_DAYS:
        raise UserError("a report ends after it begins, and spans ten years at most")
    zone = ZoneInfo(time_zone)
    rows: list[ReportRow] = []
    parts = months_between(first, last)
    for place, (begin, end) in enumerate(parts, 1):
        async with pool.acquire() as conn:
            rows += await store.list_report_rows(
                conn,
                period,
                dimension,
                since=datetime.combine(begin, time(), zone),
                until=datetime.combine(end, time(), zone),
                time_zone=time_zone,
            )
        tell(place, len(parts))
    return rows


def sales_sheet(rows: Iterable[ReportRow], dimension: Dimension) -> str:
    """A report as CSV; amounts are numbers in the house currency."""
    heads = ["begins", dimension, "orders", "quantity", "revenue", "refunds", "cost", "margin"]
    return sheet(
        heads,
        (
            [row.begins, row.key, row.orders, row.quantity]
            + [_number(amount) for amount in (row.revenue, row.refunds, row.cost, row.margin)]
            for row in rows
        ),
    )


def _number(amount: Micros) -> Decimal:
    return (Decimal(amount) / UNIT).quantize(Decimal("0.000001"))
