"""``smm-gateway refill``."""

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
from gateway.orders.refills import close_refill
from gateway.store import refills as store
from gateway.store.connection import Pool
from schemas.aftercare import RefillRecord, RefillState

_ENDS = (RefillState.COMPLETED, RefillState.REJECTED)


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("refill", help="refills and what became of them")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="the newest refills")
    listed.add_argument("--state", choices=[state.value for state in RefillState])
    listed.add_argument("--limit", type=number, default=50)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    closed = verbs.add_parser(
        "close",
        parents=[flags, acting_flags(reason=True)],
        help="end a refill of which its upstream says nothing",
    )
    closed.add_argument("id", type=number)
    closed.add_argument("end", choices=[state.value for state in _ENDS])
    closed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _close(a, p)))


def refill_row(refill: RefillRecord) -> dict[str, object]:
    """A refill as it is printed."""
    ended = refill.ended_at
    return {
        "refill": refill.id,
        "order": refill.order_id,
        "state": refill.state,
        "provider": refill.provider,
        "upstream_id": refill.upstream_id,
        "tries": refill.tries,
        "reason": refill.reason,
        "requested_at": refill.requested_at.isoformat(timespec="seconds"),
        "ended_at": ended.isoformat(timespec="seconds") if ended else None,
        "reseller": refill.reseller,
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    state = RefillState(arguments.state) if arguments.state else None
    async with pool.acquire() as conn:
        found = await store.list_refills(conn, state=state, order_id=None, limit=arguments.limit)
    show(arguments, [refill_row(refill) for refill in found])
    return 0


async def _close(arguments: argparse.Namespace, pool: Pool) -> int:
    await close_refill(pool, arguments.id, RefillState(arguments.end), warrant_of(arguments))
    show(
        arguments,
        {"refill": arguments.id, "state": arguments.end},
        text=lambda: f"refill {arguments.id} is {arguments.end}",
    )
    return 0
