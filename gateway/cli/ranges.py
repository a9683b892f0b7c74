"""``smm-gateway range``."""

import argparse
from typing import Any

from gateway.cli.session import printing_flags, run_with_database, show
from gateway.orders.detaching import detach, list_ranges
from gateway.store.connection import Pool
from schemas.ranges import RangeRecord, tables_of


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("range", help="ranges of order ids, to part with finished ones")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="all ranges, and what keeps them")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    detached = verbs.add_parser(
        "detach", parents=[flags], help="make the tables of a finished range stand alone"
    )
    detached.add_argument("lower", type=int, help="the first order id of the range")
    detached.set_defaults(
        run=lambda a: run_with_database(a, lambda s, p: _detach(a, p), owner=True)
    )


def _row(record: RangeRecord) -> dict[str, object]:
    ended, detached = record.last_end, record.detached_at
    return {
        "lower": record.lower,
        "upper": record.upper - 1,
        "orders": record.orders,
        "last_end": ended.isoformat(timespec="seconds") if ended else None,
        "bytes": record.size,
        "detached_at": detached.isoformat(timespec="seconds") if detached else None,
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    rows = [_row(record) | {"kept_by": holds} for record, holds in await list_ranges(pool)]
    show(arguments, rows)
    return 0


async def _detach(arguments: argparse.Namespace, pool: Pool) -> int:
    record = await detach(pool, arguments.lower)
    show(arguments, _row(record) | {"tables": list(tables_of(record.lower))})
    return 0
