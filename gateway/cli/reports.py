"""``smm-gateway report``: what was sold, by day or month."""

import argparse
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from gateway.cli.progress import ProgressBar
from gateway.cli.session import printing_flags, run_with_database, show
from gateway.config import Settings
from gateway.errors import UserError
from gateway.reports.selling import sales_report, sales_sheet
from gateway.store.connection import Pool
from schemas.money import format_amount
from schemas.reports import Dimension, Period, ReportRow

_DAYS = 30


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("report", help="sums of the ledger")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    sales = verbs.add_parser("sales", parents=[flags], help="revenue, refunds, cost and margin")
    sales.add_argument("--per", choices=[p.value for p in Period], default=Period.DAY.value)
    sales.add_argument("--by", choices=[d.value for d in Dimension], default=Dimension.TOTAL.value)
    sales.add_argument("--first", metavar="DAY", help="like 2027-01-01; 30 days ago")
    sales.add_argument("--last", metavar="DAY", help="in the report, too; today")
    sales.add_argument("--time-zone", help="like Europe/Berlin, instead of operators.time_zone")
    sales.add_argument("--csv", action="store_true", help="print it for a spreadsheet")
    sales.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _sales(a, s, p)))


def _day(text: str | None, flag: str, default: date) -> date:
    if text is None:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{flag} {text}: write a day like 2027-01-31") from None


def _row(row: ReportRow) -> dict[str, object]:
    return {
        "begins": row.begins.isoformat(),
        "of": row.key,
        "orders": row.orders,
        "quantity": row.quantity,
        "revenue": format_amount(row.revenue),
        "refunds": format_amount(row.refunds),
        "cost": format_amount(row.cost),
        "margin": format_amount(row.margin),
    }


async def _sales(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    zone = arguments.time_zone or settings.operators.time_zone
    if zone not in available_timezones():
        raise UserError(f"--time-zone {zone}: write a name like Europe/Berlin")
    today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
    last = _day(arguments.last, "--last", today)
    first = _day(arguments.first, "--first", last - timedelta(days=_DAYS - 1))
    with ProgressBar("months:", None) as progress:
        rows = await sales_report(
            pool,
            Period(arguments.per),
            Dimension(arguments.by),
            first=first,
            last=last,
            time_zone=zone,
            tell=progress.tell,
        )
    if arguments.csv:
        sys.stdout.write(sales_sheet(rows, Dimension(arguments.by)))
        return 0
    show(arguments, [_row(row) for row in rows])
    return 0
