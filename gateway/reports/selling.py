"""What was sold: sums of the ledger in an operator's time zone, day by day or month by month.

A span is read day by day, each by a statement of its own, so that none takes long and somebody who
waits sees how far it is. Days are added up here; what they cost is rounded once, at the end.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from zoneinfo import ZoneInfo

import asyncpg

from gateway.errors import UserError
from gateway.reports.sheets import sheet
from gateway.store import reports as store
from gateway.store.connection import Pool
from gateway.store.reports import ReportPart
from schemas.money import UNIT, Micros
from schemas.reports import Dimension, Period, ReportRow

_LONGEST_DAYS = 3_700
#: Sums of costs keep all the places that the database gives them.
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


def beginnings(period: Period, first: date, last: date) -> list[date]:
    """The first days of the periods that the days ``first`` to ``last``, both in it, are in."""
    days = (first + timedelta(days=place) for place in range((last - first).days + 1))
    return list(dict.fromkeys(_begins(period, day) for day in days))


def _begins(period: Period, day: date) -> date:
    return day if period is Period.DAY else day.replace(day=1)


@dataclass(slots=True)
class _Sum:
    """What has come together so far under one key."""

    key: str | None
    orders: int = 0
    quantity: int = 0
    revenue: Micros = 0
    refunds: Micros = 0
    cost: Decimal = Decimal(0)

    def add(self, part: ReportPart) -> None:
        self.orders += part.orders
        self.quantity += part.quantity
        self.revenue += part.revenue
        self.refunds += part.refunds
        self.cost = _EXACT.add(self.cost, part.cost)

    def row(self, begins: date) -> ReportRow:
        cost = int(self.cost.to_integral_value(context=_EXACT))
        return ReportRow(
            begins, self.key, self.orders, self.quantity, self.revenue, self.refunds, cost
        )


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
    """The rows of a report over the days ``first`` to ``last``, both in it, oldest first.

    ``tell`` hears how many days are done, of how many.

    Raises:
        UserError: for a span that ends before it begins, or is longer than ten years; and when the
            database is too busy to add up a day.
    """
    if last < first or (last - first).days > _LONGEST_DAYS:
        raise UserError("a report ends after it begins, and spans ten years at most")
    zone = ZoneInfo(time_zone)
    sums: dict[date, dict[int | None, _Sum]] = {}
    days = (last - first).days + 1
    for place in range(days):
        day = first + timedelta(days=place)
        found = sums.setdefault(_begins(period, day), {})
        for part in await _read_day(pool, dimension, day, zone):
            found.setdefault(part.key_id, _Sum(part.key)).add(part)
        tell(place + 1, days)
    return [
        found[key].row(begins)
        for begins, found in sums.items()
        for key in sorted(found, key=lambda key: (key is None, key or 0))
    ]


async def _read_day(
    pool: Pool, dimension: Dimension, day: date, zone: ZoneInfo
) -> list[ReportPart]:
    try:
        async with pool.acquire() as conn:
            return await store.list_report_parts(
                conn,
                dimension,
                since=datetime.combine(day, time(), zone),
                until=datetime.combine(day + timedelta(days=1), time(), zone),
            )
    except asyncpg.QueryCanceledError:
        raise UserError(
            f"the database was too busy to add up {day}: try again when there is less to do"
        ) from None


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
