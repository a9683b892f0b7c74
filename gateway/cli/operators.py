"""``smm-gateway operator``: who works here, and what they did."""

import argparse
from typing import Any

from gateway.cli.operator_accounts import add_verbs
from gateway.cli.session import number, printing_flags, run_with_database, show
from gateway.store import operator_actions as store
from gateway.store.connection import Pool
from schemas.operators import ActionRecord, Subject


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("operator", help="operators, and the log of what they did")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    add_verbs(verbs)
    log = verbs.add_parser("log", parents=[flags], help="what operators did, the newest first")
    log.add_argument(
        "--subject", nargs=2, metavar=("KIND", "ID"), help="of one thing, like order 17"
    )
    log.add_argument("--actor", help="of one operator")
    log.add_argument("--before", type=number, metavar="ID", help="only older ones than this row")
    log.add_argument("--limit", type=number, default=100)
    log.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _log(a, p)))


def _row(action: ActionRecord) -> dict[str, object]:
    return {
        "id": action.id,
        "at": action.at.isoformat(timespec="seconds"),
        "actor": action.actor,
        "action": action.action,
        "subject": f"{action.subject.kind} {action.subject.id}",
        "reason": action.reason,
        "before": dict(action.before),
        "after": dict(action.after),
    }


async def _log(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        found = await store.list_actions(
            conn,
            subject=Subject(*arguments.subject) if arguments.subject else None,
            actor=arguments.actor,
            before_id=arguments.before,
            limit=arguments.limit,
        )
    show(arguments, [_row(action) for action in found])
    return 0
