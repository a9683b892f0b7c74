"""``smm-gateway secret``: the master keys, and the secrets that are sealed under them."""

import argparse
import sys
from typing import Any

from gateway import sealing
from gateway.cli.session import common_flags, printing_flags, run_with_database, show
from gateway.config import Settings, require_master_keys
from gateway.resealing import require_openable, reseal
from gateway.store import secrets
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
    status = verbs.add_parser("status", parents=[flags], help="which key has sealed how many")
    status.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _status(a, s, p)))
    rotated = verbs.add_parser(
        "rotate", parents=[flags], help="seal everything under the first of security.master_keys"
    )
    rotated.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _rotate(a, s, p)))


def _new_key(_arguments: argparse.Namespace) -> int:
    print(sealing.new_key())
    return 0


async def _status(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    keys = require_master_keys(settings)
    async with pool.acquire() as conn:
        counted = await secrets.count_secrets(conn)
    rows = [
        {"master_key": key_id, "is": _place(keys, key_id), "secrets": counted.get(key_id, 0)}
        for key_id in [*keys.ids, *(known for known in counted if known not in keys.ids)]
    ]
    show(arguments, rows)
    return 0


def _place(keys: sealing.MasterKeys, key_id: str | None) -> str:
    if key_id is None:
        return "not sealed"
    if key_id == keys.current:
        return "current"
    return "old" if key_id in keys.ids else "missing"


async def _rotate(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    keys = require_master_keys(settings)
    # What cannot be opened is told before anything is changed.
    await require_openable(pool, keys)

    def tell(done: int) -> None:
        print(f"sealed anew: {done}", file=sys.stderr, flush=True)

    renewed = await reseal(pool, keys, tell)
    show(
        arguments,
        {"master_key": keys.current, "renewed": renewed, "not_needed": list(keys.ids[1:])},
        text=lambda: _rotated(keys, renewed),
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
