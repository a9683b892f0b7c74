"""``smm-gateway confirmation``: amounts that need two operators."""

import argparse
from typing import Any

from gateway.cli.session import (
    acting_flags,
    number,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.resellers.adjusting import decide
from gateway.store import confirmations as store
from gateway.store.connection import Pool
from schemas.money import format_amount
from schemas.money_moves import Confirmation


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("confirmation", help="amounts that need a second operator")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="those that wait, the newest first")
    listed.add_argument("--all", action="store_true", help="those that were decided, too")
    listed.add_argument("--limit", type=number, default=100)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    for verb, words in (
        ("confirm", "move the money that another operator has asked for"),
        ("decline", "leave the money where it is"),
    ):
        decided = verbs.add_parser(verb, parents=[flags, acting_flags()], help=words)
        decided.add_argument("id", type=number)
        decided.set_defaults(
            run=lambda a, verb=verb: run_with_database(a, lambda s, p: _decide(a, p, verb))
        )


def _row(asked: Confirmation) -> dict[str, object]:
    return {
        "confirmation": asked.id,
        "at": asked.at.isoformat(timespec="seconds"),
        "reseller": asked.reseller,
        "cause": asked.cause,
        "amount": format_amount(asked.amount),
        "reason": asked.reason,
        "asked_by": asked.asked_by,
        "state": asked.state,
        "decided_by": asked.decided_by,
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        found = await store.list_confirmations(
            conn, waiting=not arguments.all, limit=arguments.limit
        )
    show(arguments, [_row(asked) for asked in found])
    return 0


async def _decide(arguments: argparse.Namespace, pool: Pool, verb: str) -> int:
    done = await decide(pool, arguments.id, warrant_of(arguments), confirmed=verb == "confirm")
    show(arguments, _row(done))
    return 0
