"""``smm-gateway reseller`` and ``smm-gateway key``."""

import argparse
from typing import Any

from gateway.app import require_pepper
from gateway.cli.session import number, printing_flags, run_with_database, show, with_pepper
from gateway.config import Settings
from gateway.errors import UserError
from gateway.resellers import accounts
from gateway.store import resellers as store
from gateway.store.connection import Pool
from schemas.money import BadAmount, format_amount, parse_amount
from schemas.resellers import ApiKey, Reseller


def add_commands(commands: Any) -> None:
    """Add both groups to the command line."""
    flags = printing_flags()
    reseller = commands.add_parser("reseller", help="customers and their balances")
    verbs = reseller.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", parents=[flags], help="open an account")
    create.add_argument("name")
    create.add_argument("--email", required=True)
    create.add_argument("--currency", help="the house currency, which is also the default")
    create.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _create(a, s, p)))
    credit = verbs.add_parser("credit", parents=[flags], help="add money that came in outside")
    credit.add_argument("name")
    credit.add_argument("amount", help="like 25 or 12.50")
    credit.add_argument("--note", help="kept with the ledger entry")
    credit.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _credit(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="one reseller")
    shown.add_argument("name")
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    listed = verbs.add_parser("list", parents=[flags], help="all resellers")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    _add_key_commands(commands, flags)


def _add_key_commands(commands: Any, flags: argparse.ArgumentParser) -> None:
    key = commands.add_parser("key", help="API keys of resellers")
    verbs = key.add_subparsers(metavar="VERB", required=True)
    issue = verbs.add_parser("issue", parents=[flags], help="make a key and show it once")
    issue.add_argument("name", help="the reseller")
    issue.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _issue(a, s, p)))
    listed = verbs.add_parser("list", parents=[flags], help="a reseller's keys")
    listed.add_argument("name", help="the reseller")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _keys(a, p)))
    revoke = verbs.add_parser("revoke", parents=[flags], help="end a key")
    revoke.add_argument("key_id", type=number)
    revoke.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _revoke(a, p)))


def _reseller(reseller: Reseller) -> dict[str, object]:
    return {
        "id": reseller.id,
        "name": reseller.name,
        "balance": format_amount(reseller.balance),
        "currency": reseller.currency,
        "email": reseller.email,
        "suspended": reseller.suspended,
    }


def _key(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.id,
        "reseller": key.reseller,
        "begins_with": key.hint,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
    }


async def _create(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with pool.acquire() as conn:
        made = await accounts.create_reseller(
            conn,
            arguments.name,
            arguments.email,
            arguments.currency or settings.currency,
            settings.currency,
        )
    show(arguments, _reseller(made))
    return 0


async def _credit(arguments: argparse.Namespace, pool: Pool) -> int:
    try:
        amount = parse_amount(arguments.amount)
    except BadAmount as error:
        raise UserError(str(error)) from None
    async with pool.acquire() as conn:
        credited = await accounts.credit(conn, arguments.name, amount, note=arguments.note)
    show(arguments, _reseller(credited))
    return 0


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, _reseller(await accounts.find_reseller(conn, arguments.name)))
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, [_reseller(r) for r in await store.list_resellers(conn)])
    return 0


async def _issue(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with pool.acquire() as conn:
        key_id, key = await accounts.issue_key(
            conn, arguments.name, require_pepper(with_pepper(settings))
        )
    show(
        arguments,
        {"key_id": key_id, "key": key},
        text=lambda: f"{key}\nThis is key {key_id}. It is shown only now: keep it safe.",
    )
    return 0


async def _keys(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, [_key(k) for k in await accounts.reseller_keys(conn, arguments.name)])
    return 0


async def _revoke(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        await accounts.revoke_key(conn, arguments.key_id)
    show(
        arguments,
        {"key_id": arguments.key_id, "revoked": True},
        text=lambda: f"Key {arguments.key_id} is revoked; it is refused within seconds.",
    )
    return 0
