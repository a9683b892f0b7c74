"""``smm-gateway ordering``."""

import argparse
from typing import Any

from gateway.cli.session import acting_flags, printing_flags, run_with_database, show, warrant_of
from gateway.resellers.keys import CACHE_SECONDS
from gateway.resellers.ordering import start_ordering, stop_ordering
from gateway.store import ordering_stops as store
from gateway.store.connection import Pool


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags, acting = printing_flags(), acting_flags(reason=True)
    group = commands.add_parser("ordering", help="the switch that stops new orders")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    for verb, words in (
        ("stop", "take no new orders; everything else goes on"),
        ("start", "take orders again"),
    ):
        turned = verbs.add_parser(verb, parents=[flags, acting], help=words)
        turned.add_argument("--reseller", help="of this one alone")
        turned.set_defaults(
            run=lambda a, verb=verb: run_with_database(a, lambda s, p: _turn(a, p, verb))
        )
    shown = verbs.add_parser("show", parents=[flags], help="what is stopped, and why")
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))


async def _turn(arguments: argparse.Namespace, pool: Pool, verb: str) -> int:
    turn = stop_ordering if verb == "stop" else start_ordering
    changed = await turn(pool, arguments.reseller, warrant_of(arguments))
    whose = f"ordering of {arguments.reseller}" if arguments.reseller else "ordering"
    state = "stopped" if verb == "stop" else "on"
    told = (
        f"{whose} is {state}; every process knows within {CACHE_SECONDS:.0f} seconds"
        if changed
        else f"{whose} was {state} already: nothing was changed"
    )
    fields = {"reseller": arguments.reseller, "stopped": verb == "stop", "changed": changed}
    show(arguments, fields, text=lambda: told)
    return 0


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        stops = await store.list_ordering_stops(conn)
    rows = [
        {
            "whose": stop.reseller or "all",
            "reason": stop.reason,
            "by": stop.actor,
            "since": stop.at.isoformat(timespec="seconds"),
        }
        for stop in stops
    ]
    show(arguments, rows, text=None if rows else lambda: "ordering is on for everybody")
    return 0
