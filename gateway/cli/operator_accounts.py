"""Operators' accounts at the command line; the first owner is made here."""

import argparse
from typing import Any

from gateway.cli.session import acting_flags, printing_flags, run_with_database, show, warrant_of
from gateway.config import Settings, require_master_keys
from gateway.errors import UserError
from gateway.operators import accounts
from gateway.operators.seeds import Seeds
from gateway.store.connection import Pool
from schemas.operator_accounts import Operator
from schemas.operators import Role

_ROLES = [role.value for role in Role]


def add_verbs(verbs: Any) -> None:
    """Add the verbs to ``operator``."""
    flags, acting = printing_flags(), acting_flags()
    made = verbs.add_parser("create", parents=[flags, acting], help="open an account")
    made.add_argument("name")
    made.add_argument("--role", choices=_ROLES, required=True)
    made.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _create(a, s, p)))
    listed = verbs.add_parser("list", parents=[flags], help="who works here")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    changed = verbs.add_parser("set", parents=[flags, acting], help="change a role, or lock out")
    changed.add_argument("name")
    changed.add_argument("--role", choices=_ROLES)
    standing = changed.add_mutually_exclusive_group()
    standing.add_argument("--disable", action="store_true", help="may not sign in any more")
    standing.add_argument("--enable", action="store_true", help="may sign in again")
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, p)))
    reset = verbs.add_parser(
        "reset-password", parents=[flags, acting], help="a new link that sets a password, once"
    )
    reset.add_argument("name")
    reset.add_argument(
        "--second-factor", action="store_true", help="forget it too: the phone is lost"
    )
    reset.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _reset(a, s, p)))
    ended = verbs.add_parser(
        "end-sessions", parents=[flags, acting], help="sign an operator out everywhere"
    )
    ended.add_argument("name")
    ended.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _end(a, p)))


def welcome_link(settings: Settings, token: str) -> str:
    """The whole link; only the path where it is not known where the console is reached."""
    ops = settings.ops
    base = ops.url or ""
    if ops.development and ops.port:
        base = f"http://{ops.host}:{ops.port}"
    return f"{base}/ops/welcome/{token}"


def _row(operator: Operator) -> dict[str, object]:
    signed_in = operator.signed_in_at
    return {
        "name": operator.name,
        "role": operator.role,
        "enabled": operator.enabled,
        "password": operator.has_password,
        "second_factor": operator.has_second_factor,
        "signed_in_at": signed_in.isoformat(timespec="seconds") if signed_in else None,
    }


def _show_link(arguments: argparse.Namespace, settings: Settings, token: str) -> None:
    link = welcome_link(settings, token)
    text = (
        f"{link}\n"
        f"The link sets the password of {arguments.name}, once, within {accounts.WELCOME_HOURS} "
        "hours. It is not shown again."
    )
    show(arguments, {"operator": arguments.name, "link": link}, text=lambda: text)


async def _create(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    role = Role(arguments.role)
    token = await accounts.create_operator(pool, warrant_of(arguments), arguments.name, role)
    _show_link(arguments, settings, token)
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    show(arguments, [_row(operator) for operator in await accounts.list_operators(pool)])
    return 0


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    if arguments.role is None and not (arguments.disable or arguments.enable):
        raise UserError("say what to change: --role, --disable or --enable")
    changed = await accounts.change_operator(
        pool,
        warrant_of(arguments),
        arguments.name,
        role=Role(arguments.role) if arguments.role else None,
        enabled=arguments.enable if arguments.enable or arguments.disable else None,
    )
    show(arguments, _row(changed))
    return 0


async def _reset(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    seeds = Seeds(require_master_keys(settings)) if arguments.second_factor else None
    token = await accounts.reset_operator(pool, warrant_of(arguments), arguments.name, seeds)
    _show_link(arguments, settings, token)
    return 0


async def _end(arguments: argparse.Namespace, pool: Pool) -> int:
    ended = await accounts.end_sessions(pool, warrant_of(arguments), arguments.name)
    show(
        arguments,
        {"operator": arguments.name, "ended": ended},
        text=lambda: f"{ended} sessions of {arguments.name} have ended",
    )
    return 0
