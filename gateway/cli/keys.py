"""``smm-gateway key``."""

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.cli.session import (
    acting_flags,
    number,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.config import Settings, require_peppers
from gateway.errors import UserError
from gateway.resellers import accounts
from gateway.resellers.terms import read_expiry, read_networks
from gateway.store.connection import Pool
from schemas.resellers import ANY_USE, ApiKey, KeyTerms, Scope


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags, terms, acting = printing_flags(), _terms_flags(), acting_flags()
    key = commands.add_parser("key", help="API keys of resellers")
    verbs = key.add_subparsers(metavar="VERB", required=True)
    issue = verbs.add_parser(
        "issue", parents=[flags, terms, acting], help="make a key and show it once"
    )
    issue.add_argument("name", help="the reseller")
    issue.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _issue(a, s, p)))
    listed = verbs.add_parser("list", parents=[flags], help="a reseller's keys")
    listed.add_argument("name", help="the reseller")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    changed = verbs.add_parser(
        "set", parents=[flags, terms, acting], help="change what a key may do"
    )
    changed.add_argument("key_id", type=number)
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, p)))
    revoke = verbs.add_parser("revoke", parents=[flags, acting], help="end a key")
    revoke.add_argument("key_id", type=number)
    revoke.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _revoke(a, p)))


def _terms_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument(
        "--scope",
        choices=[scope.value for scope in Scope],
        help="read: services, balance, status and refill_status; order: everything (the default)",
    )
    flags.add_argument(
        "--allow",
        metavar="NETWORKS",
        help="where it may be used: 203.0.113.0/24,2001:db8::/32, any",
    )
    flags.add_argument(
        "--expires", metavar="WHEN", help="refused from then on (UTC): 2027-01-31, 90d, never"
    )
    return flags


def _changed(arguments: argparse.Namespace, terms: KeyTerms) -> KeyTerms:
    if arguments.scope is not None:
        terms = replace(terms, scope=Scope(arguments.scope))
    if arguments.allow is not None:
        terms = replace(terms, networks=read_networks(arguments.allow))
    if arguments.expires is not None:
        terms = replace(terms, expires_at=read_expiry(arguments.expires, datetime.now(UTC)))
    return terms


def _key(key: ApiKey) -> dict[str, object]:
    ends, revoked = key.terms.expires_at, key.revoked_at
    return {
        "key_id": key.id,
        "reseller": key.reseller,
        "begins_with": key.hint,
        "scope": key.terms.scope,
        "allow": ",".join(map(str, key.terms.networks)) or "any",
        "expires_at": ends.isoformat(timespec="seconds") if ends else None,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": revoked.isoformat(timespec="seconds") if revoked else None,
    }


async def _issue(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    terms = _changed(arguments, ANY_USE)
    async with pool.acquire() as conn:
        key_id, key = await accounts.issue_key(
            conn, arguments.name, require_peppers(settings), warrant_of(arguments), terms
        )
    show(
        arguments,
        {"key_id": key_id, "key": key},
        text=lambda: f"{key}\nThis is key {key_id}. It is shown only now: keep it safe.",
    )
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, [_key(k) for k in await accounts.reseller_keys(conn, arguments.name)])
    return 0


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    if arguments.scope is arguments.allow is arguments.expires is None:
        raise UserError("nothing to change: name --scope, --allow or --expires")
    async with pool.acquire() as conn:
        changed = await accounts.change_key(
            conn, arguments.key_id, lambda terms: _changed(arguments, terms), warrant_of(arguments)
        )
    show(arguments, _key(changed))
    return 0


async def _revoke(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        await accounts.revoke_key(conn, arguments.key_id, warrant_of(arguments))
    show(
        arguments,
        {"key_id": arguments.key_id, "revoked": True},
        text=lambda: f"Key {arguments.key_id} is revoked; it is refused within seconds.",
    )
    return 0
