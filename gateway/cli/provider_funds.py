"""``smm-gateway provider alias`` and ``funds``."""

import argparse
from typing import Any

from gateway.catalogue.funds import funds_of, set_alias
from gateway.cli.session import number, run_with_database, show, warrant_of
from gateway.store.connection import Pool
from schemas.money import format_amount


def add_verbs(verbs: Any, flags: argparse.ArgumentParser, acting: argparse.ArgumentParser) -> None:
    """Add the verbs to the group of providers."""
    named = verbs.add_parser(
        "alias", parents=[flags, acting], help="what support staff see in place of its name"
    )
    named.add_argument("name")
    named.add_argument("alias", nargs="?", help="none takes it away")
    named.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _alias(a, p)))
    funded = verbs.add_parser(
        "funds", parents=[flags], help="what it held, and how long that lasts"
    )
    funded.add_argument("name")
    funded.add_argument("--limit", type=number, default=50)
    funded.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _funds(a, p)))


async def _alias(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        named = await set_alias(conn, arguments.name, arguments.alias, warrant_of(arguments))
    show(arguments, {"name": named.name, "alias": named.alias})
    return 0


async def _funds(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        funds = await funds_of(conn, arguments.name, arguments.limit)
    rows = [
        {
            "at": row.at.isoformat(timespec="seconds"),
            "balance": format_amount(row.amount),
            "change": None if row.change is None else format_amount(row.change),
            "expected": None if row.expected is None else format_amount(row.expected),
        }
        for row in funds.rows
    ]
    known = {
        "name": funds.provider,
        "currency": funds.currency,
        "balance": None if funds.balance is None else format_amount(funds.balance),
        "hours_left": None if funds.hours is None else round(funds.hours, 1),
    }
    if arguments.json:
        show(arguments, known | {"readings": rows})
        return 0
    show(arguments, known)
    print()
    show(arguments, rows)
    return 0
