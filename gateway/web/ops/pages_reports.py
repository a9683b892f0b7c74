"""Reports: what was sold, by day or month and by service, provider or reseller."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from aiohttp import web

from gateway.errors import UserError
from gateway.operators.jobs import ask_for_job
from gateway.reports.selling import beginnings, sales_report, sales_sheet
from gateway.web.ops import charts
from gateway.web.ops.fields import day_of
from gateway.web.ops.forms import Form
from gateway.web.ops.pages_jobs import sheet_answer
from gateway.web.ops.visit import Visit, sentence
from schemas.jobs import JobKind
from schemas.money import UNIT
from schemas.reports import Dimension, Period, ReportRow

_HERE = "/ops/reports"
#: What takes longer than a page may wait goes to the background.
_MOST_DAYS = 400
_USUAL_DAYS = 30
_SHOWN = 500
_FEWEST_POINTS = 4
_ASKED = ("per", "by", "first", "last", "zone")


class _Wanted(NamedTuple):
    """Which report is meant; both days are in it."""

    period: Period
    dimension: Dimension
    first: date
    last: date
    zone: str


def _wanted(form: Form, default_zone: str) -> _Wanted:
    zone = form.text("zone") or default_zone
    if zone not in available_timezones():
        raise UserError("write a time zone like Europe/Berlin")
    today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
    try:
        period = Period(form.text("per") or Period.DAY)
        dimension = Dimension(form.text("by") or Dimension.TOTAL)
    except ValueError:
        raise UserError("choose what the report is by") from None
    last = day_of(form, "last", "Until", today)
    first = day_of(form, "first", "From", last - timedelta(days=_USUAL_DAYS - 1))
    return _Wanted(period, dimension, first, last, zone)


async def _rows(visit: Visit, wanted: _Wanted) -> list[ReportRow]:
    if (wanted.last - wanted.first).days > _MOST_DAYS:
        raise UserError(f"more than {_MOST_DAYS} days take long: ask for it in the background")
    rows = await sales_report(
        visit.services.pool,
        wanted.period,
        wanted.dimension,
        first=wanted.first,
        last=wanted.last,
        time_zone=wanted.zone,
    )
    if wanted.dimension is not Dimension.PROVIDER:
        return rows
    shown = (await visit.provider_words())["shown_provider"]
    return [replace(row, key=shown(row.key) if row.key else None) for row in rows]


def _chart(rows: list[ReportRow], wanted: _Wanted, currency: str) -> charts.Plot | None:
    """Revenue and cost over time, also where nothing was sold; None for a few points alone."""
    begins = beginnings(wanted.period, wanted.first, wanted.last)
    if len(begins) < _FEWEST_POINTS:
        return None
    sums = {day: [0, 0] for day in begins}
    for row in rows:
        sums[row.begins][0] += row.revenue - row.refunds
        sums[row.begins][1] += row.cost
    return charts.plot(
        [datetime.combine(day, time(12), UTC) for day in begins],
        [
            charts.Line("revenue", [sums[day][0] / UNIT for day in begins]),
            charts.Line("cost", [sums[day][1] / UNIT for day in begins]),
        ],
        unit=currency,
    )


async def show(visit: Visit) -> web.Response:
    """A report with its chart."""
    default = visit.services.settings.operators.time_zone
    rows: list[ReportRow] = []
    chart: charts.Plot | None = None
    problem, asked = "", {name: visit.query.text(name) for name in _ASKED}
    try:
        wanted = _wanted(visit.query, default)
        asked = dict(zip(_ASKED, (str(part) for part in wanted), strict=True))
        rows = await _rows(visit, wanted)
        chart = _chart(rows, wanted, visit.services.settings.currency)
    except UserError as error:
        problem = sentence(error)
    asked["zone"] = asked["zone"] or default
    return await visit.page(
        "reports.html",
        title="Reports",
        asked=asked,
        rows=rows[-_SHOWN:],
        hidden=max(0, len(rows) - _SHOWN),
        total={
            name: sum(getattr(row, name) for row in rows)
            for name in ("orders", "quantity", "revenue", "refunds", "cost", "margin")
        },
        chart=chart,
        periods=[(period.value, period.value) for period in Period],
        dimensions=[(one.value, one.value) for one in Dimension],
        zones=sorted(available_timezones()),
        problem=problem,
    )


async def download(visit: Visit) -> web.Response:
    """The same report as CSV."""
    wanted = _wanted(visit.query, visit.services.settings.operators.time_zone)
    text = sales_sheet(await _rows(visit, wanted), wanted.dimension)
    name = f"{wanted.dimension}-by-{wanted.period}-{wanted.first}-{wanted.last}"
    return sheet_answer(text, name)


async def start(visit: Visit) -> web.Response:
    """The same report in the background, however long it takes."""
    try:
        wanted = _wanted(visit.form, visit.services.settings.operators.time_zone)
        arguments = {
            "per": wanted.period,
            "by": wanted.dimension,
            "first": wanted.first.isoformat(),
            "last": wanted.last.isoformat(),
            "time_zone": wanted.zone,
        }
        job = await ask_for_job(visit.services.pool, JobKind.REPORT, arguments, visit.warrant())
    except UserError as error:
        return await visit.tell_error(error, _HERE)
    return visit.go(f"/ops/jobs/{job}")


ROUTES = (
    ("GET", _HERE, show),
    ("GET", _HERE + "/sheet", download),
    ("POST", _HERE, start),
)
