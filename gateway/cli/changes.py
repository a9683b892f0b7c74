"""``smm-gateway change``."""

import argparse
from typing import Any

from gateway.catalogue import reviewing, upstreams
from gateway.cli.session import (
    acting_flags,
    number,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.errors import UserError
from gateway.store import changes as store
from gateway.store.connection import Pool
from schemas.changes import Change, ChangeState, NewChange

_NEWEST = 100


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("change", help="what upstreams changed in their catalogues")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="the newest changes")
    listed.add_argument("--state", choices=[str(state) for state in ChangeState])
    listed.add_argument("--provider")
    listed.add_argument("--limit", type=number, default=_NEWEST)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="one change")
    shown.add_argument("id", type=number)
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    for verb, state, words in (
        ("approve", ChangeState.APPROVED, "take held changes over"),
        ("dismiss", ChangeState.DISMISSED, "leave things as they are"),
    ):
        decided = verbs.add_parser(verb, parents=[flags, acting_flags()], help=words)
        decided.add_argument("id", type=number, nargs="+")
        decided.set_defaults(
            run=lambda a, state=state: run_with_database(a, lambda s, p: _decide(a, p, state))
        )


def planned(change: NewChange) -> dict[str, object]:
    """A change as a sync finds it, for printing."""
    return {
        "kind": change.kind,
        "state": change.state,
        "service": change.service_id,
        "upstream_service": change.upstream_service,
        "before": change.before,
        "after": change.after,
        "why": change.why,
    }


def _change(change: Change) -> dict[str, object]:
    return {
        "id": change.id,
        "at": change.at.strftime("%Y-%m-%d %H:%M:%S"),
        "provider": change.provider,
        "kind": change.kind,
        "state": change.state,
        "service": change.service_id,
        "upstream_service": change.upstream_service,
        "before": change.before,
        "after": change.after,
        "why": change.why,
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        if arguments.provider is not None:
            await upstreams.find_provider(conn, arguments.provider)
        found = await store.list_changes(
            conn, state=arguments.state, provider=arguments.provider, limit=arguments.limit
        )
    show(arguments, [_change(change) for change in found])
    return 0


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        found = await store.get_change(conn, arguments.id)
    if found is None:
        raise UserError(f"there is no change {arguments.id}: see `smm-gateway change list`")
    decided = found.decided_at.strftime("%Y-%m-%d %H:%M:%S") if found.decided_at else None
    show(arguments, _change(found) | {"decided_at": decided})
    return 0


async def _decide(arguments: argparse.Namespace, pool: Pool, state: ChangeState) -> int:
    await reviewing.decide(pool, sorted(set(arguments.id)), state, warrant_of(arguments))
    async with pool.acquire() as conn:
        found = [await store.get_change(conn, id_) for id_ in sorted(set(arguments.id))]
    show(arguments, [_change(change) for change in found if change is not None])
    return 0
