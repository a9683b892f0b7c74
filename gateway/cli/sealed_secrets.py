"""``smm-gateway secret``: the master keys, and the secrets that are sealed under them."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import sealing
from gateway.cli.session import (
    acting_flags,
    common_flags,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.config import Settings, require_master_keys, require_peppers
from gateway.operators.rotating import rotate
from gateway.peppers import id_of
from gateway.store import resellers, secrets
from gateway.store.connection import Pool


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("secret", help="master keys, and what is sealed under them")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    made = verbs.add_parser(
        "new-key", parents=[common_flags()], help="print a fresh one for security.master_keys"
    )
    made.set_defaults(run=_new_key)
    status = verbs.add_parser(
        "status", parents=[flags], help="what each master key and pepper protects"
    )
    status.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _status(a, s, p)))
    rotated = verbs.add_parser(
        "rotate",
        parents=[flags, acting_flags()],
        help="seal everything under the first of security.master_keys, and forget what API keys "
        "were known by under a pepper that is gone",
    )
    rotated.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _rotate(a, s, p)))


def _new_key(_arguments: argparse.Namespace) -> int:
    print(sealing.new_key())
    return 0


async def _status(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    ours, pepper = require_master_keys(settings), require_peppers(settings)
    async with pool.acquire() as conn:
        seals = await secrets.count_secrets(conn)
        macs = await resellers.count_key_peppers(conn)
    peppers = [pepper.id] if pepper.old is None else [pepper.id, id_of(pepper.old)]
    show(arguments, [*_rows("master key", ours.ids, seals), *_rows("pepper", peppers, macs)])
    return 0


def _rows(
    kind: str, ours: Sequence[str], counted: Mapping[str | None, int]
) -> list[dict[str, object]]:
    """What each of our keys or peppers protects, the current one first; then what others do."""
    ids = [*ours, *(known for known in counted if known not in ours)]
    places = dict.fromkeys(counted, "missing") | dict.fromkeys(ours, "old")
    places |= {None: "not noted", ours[0]: "current"}
    return [
        {"kind": kind, "id": id_, "is": places[id_], "protects": counted.get(id_, 0)} for id_ in ids
    ]


async def _rotate(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    keys, peppers = require_master_keys(settings), require_peppers(settings)

    def tell(done: int) -> None:
        print(f"sealed anew: {done}", file=sys.stderr, flush=True)

    done = await rotate(pool, keys, peppers, warrant_of(arguments), tell)
    shown = {"master_key": keys.current, "renewed": done.renewed, "not_needed": list(keys.ids[1:])}
    show(
        arguments,
        shown | {"hashes_forgotten": done.forgotten},
        text=lambda: _rotated(keys, done.renewed),
    )
    return 0


def _rotated(keys: sealing.MasterKeys, renewed: int) -> str:
    lines = [f"{renewed} secrets sealed anew; all are under master key {keys.current}"]
    if keys.ids[1:]:
        old = ", ".join(keys.ids[1:])
        lines += [
            f"not needed any more: {old}. Take it out of security.master_keys once every process",
            "has the new settings; a backup made before still needs it.",
        ]
    return "\n".join(lines)
