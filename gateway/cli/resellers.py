"""``smm-gateway reseller``."""

import argparse
from dataclasses import replace
from typing import Any

from gateway.catalogue.snapshot import Catalogue
from gateway.cli.session import (
    acting_flags,
    amount,
    number,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.config import Settings
from gateway.errors import UserError
from gateway.resellers import accounts
from gateway.resellers.adjusting import move_money
from gateway.resellers.terms import limit_text, read_limit
from gateway.resellers.viewing import view_as
from gateway.store import resellers as store
from gateway.store.connection import Pool
from schemas.money import format_amount, micros_from
from schemas.money_moves import MoneyCause, MoneyMove
from schemas.resellers import DuplicatePolicy, Reseller


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags, acting = printing_flags(), acting_flags()
    reseller = commands.add_parser("reseller", help="customers and their balances")
    verbs = reseller.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", parents=[flags, acting], help="open an account")
    create.add_argument("name")
    create.add_argument("--email", required=True)
    create.add_argument("--currency", help="the house currency, which is also the default")
    create.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _create(a, s, p)))
    credit = verbs.add_parser(
        "credit",
        parents=[flags, acting_flags(reason=True)],
        help="add money that came in outside; the reason stands in the ledger",
    )
    credit.add_argument("name")
    credit.add_argument("amount", help="like 25 or 12.50")
    credit.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _credit(a, s, p)))
    adjusted = verbs.add_parser(
        "adjust",
        parents=[flags, acting_flags(reason=True)],
        help="correct a balance; the reason stands in the ledger",
    )
    adjusted.add_argument("name")
    adjusted.add_argument("amount", help="like 12.50, or -12.50 to take it")
    adjusted.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _adjust(a, s, p)))
    viewed = verbs.add_parser(
        "view", parents=[flags, acting], help="what it sees itself; that you looked is logged"
    )
    viewed.add_argument("name")
    viewed.add_argument("--limit", type=number, default=20, help="orders (20)")
    viewed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _view(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="one reseller")
    shown.add_argument("name")
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    listed = verbs.add_parser("list", parents=[flags], help="all resellers")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    _add_set(verbs, [flags, acting])


def _add_set(verbs: Any, flags: list[argparse.ArgumentParser]) -> None:
    changed = verbs.add_parser("set", parents=flags, help="change an account")
    changed.add_argument("name")
    changed.add_argument(
        "--limit", metavar="RATE", help="requests a second for each key: 20/s, none, default"
    )
    changed.add_argument("--credit-limit", metavar="AMOUNT", help="what it may owe; 0: prepaid")
    standing = changed.add_mutually_exclusive_group()
    standing.add_argument("--suspend", metavar="REASON", help="no orders; reads go on")
    standing.add_argument("--resume", action="store_true", help="end a suspension")
    changed.add_argument(
        "--duplicates",
        choices=[policy.value for policy in DuplicatePolicy],
        help="what an order without a name becomes while an identical one is open",
    )
    changed.add_argument("--service-ids", choices=["number", "text"], help="how services has them")
    methods = changed.add_mutually_exclusive_group()
    methods.add_argument("--post-only", action="store_true", help="refuse calls by GET")
    methods.add_argument("--any-method", action="store_true", help="take calls by GET too")
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, p)))


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the flags of ``set`` make of an account's settings."""
    changes: dict[str, Any] = {}
    if arguments.limit is not None:
        changes["request_limit"] = read_limit(arguments.limit)
    if arguments.suspend is not None:
        changes |= {"suspended": True, "suspended_reason": arguments.suspend.strip() or None}
    if arguments.resume:
        changes |= {"suspended": False, "suspended_reason": None}
    if arguments.duplicates is not None:
        changes["duplicates"] = DuplicatePolicy(arguments.duplicates)
    if arguments.service_ids is not None:
        changes["text_ids"] = arguments.service_ids == "text"
    if arguments.post_only or arguments.any_method:
        changes["post_only"] = arguments.post_only
    return changes


def _reseller(reseller: Reseller) -> dict[str, object]:
    return {
        "id": reseller.id,
        "name": reseller.name,
        "balance": format_amount(reseller.balance),
        "currency": reseller.currency,
        "credit_limit": format_amount(-reseller.floor),
        "email": reseller.email,
        "suspended": reseller.suspended,
        "suspended_reason": reseller.suspended_reason,
        "limit": limit_text(reseller.request_limit),
        "duplicates": reseller.duplicates,
        "service_ids": "text" if reseller.text_ids else "number",
        "post_only": reseller.post_only,
    }


async def _create(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with pool.acquire() as conn:
        made = await accounts.create_reseller(
            conn,
            arguments.name,
            arguments.email,
            arguments.currency or settings.currency,
            settings.currency,
            warrant_of(arguments),
        )
    show(arguments, _reseller(made))
    return 0


async def _credit(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    move = MoneyMove(arguments.name, MoneyCause.TOPUP, amount(arguments.amount))
    return await _move(arguments, settings, pool, move)


async def _adjust(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    size = amount(arguments.amount.removeprefix("-"))
    signed = -size if arguments.amount.startswith("-") else size
    move = MoneyMove(arguments.name, MoneyCause.CORRECTION, signed)
    return await _move(arguments, settings, pool, move)


async def _move(
    arguments: argparse.Namespace, settings: Settings, pool: Pool, move: MoneyMove
) -> int:
    above = settings.operators.confirm_above
    limit = None if above is None else micros_from(above)
    done = await move_money(pool, move, warrant_of(arguments), confirm_above=limit)
    if isinstance(done, Reseller):
        show(arguments, _reseller(done))
        return 0
    show(
        arguments,
        {"confirmation": done, "state": "waiting"},
        text=lambda: (
            f"this is above {above}: another operator has to confirm it with "
            f"`smm-gateway confirmation confirm {done}`"
        ),
    )
    return 0


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, _reseller(await accounts.find_reseller(conn, arguments.name)))
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, [_reseller(r) for r in await store.list_resellers(conn)])
    return 0


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    changes = _changes(arguments)
    owed = (
        None if arguments.credit_limit is None else amount(arguments.credit_limit, "--credit-limit")
    )
    if not changes and owed is None:
        raise UserError("nothing to change: see `smm-gateway reseller set --help`")
    async with pool.acquire() as conn:
        changed = await accounts.change_reseller(
            conn,
            arguments.name,
            lambda r: replace(r, **changes),
            warrant_of(arguments),
            credit_limit=owed,
        )
    show(arguments, _reseller(changed))
    return 0


async def _view(arguments: argparse.Namespace, pool: Pool) -> int:
    view = await view_as(
        pool, Catalogue(), arguments.name, warrant_of(arguments), limit=arguments.limit
    )
    if arguments.json:
        orders = {str(number): told for number, told in view.orders.items()}
        show(arguments, view.balance | {"services": view.services, "orders": orders})
        return 0
    show(arguments, view.balance)
    print()
    show(arguments, view.services)
    print()
    show(arguments, [{"order": number, **told} for number, told in view.orders.items()])
    return 0
