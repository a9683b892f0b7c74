"""``smm-gateway database``: the rights of the role that the gateway runs as."""

import argparse
from typing import Any

import asyncpg

from gateway.cli.session import printing_flags, run_with_database, show
from gateway.errors import UserError
from gateway.store import roles
from gateway.store.connection import Connection, Pool, transaction


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("database", help="roles on a PostgreSQL of your own")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    granted = verbs.add_parser(
        "grant", parents=[flags], help="give a role the rights that the gateway needs, and no more"
    )
    granted.add_argument("role")
    granted.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _grant(a, p), owner=True))


async def _grant(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        left = await _grant_to(conn, arguments.role)
    show(
        arguments,
        {"role": arguments.role, "left_to_a_superuser": left},
        text=lambda: "\n".join([f"{arguments.role} may run the gateway", *_left(left)]),
    )
    return 0


def _left(statements: list[str]) -> list[str]:
    if not statements:
        return []
    return ["What only a superuser may set, for a role without limits (psql):"] + [
        f"  {statement};" for statement in statements
    ]


async def _grant_to(conn: Connection, name: str) -> list[str]:
    """Give the rights; returns the statements that only a superuser may run."""
    role = await roles.get_role(conn, name)
    if role is None:
        raise UserError(
            f"there is no role {name}: as a superuser, CREATE ROLE {name} LOGIN PASSWORD '...'"
        )
    if role.superuser or role.owns:
        raise UserError(
            f"the role {name} owns the tables, or is above all rights: make another role for the "
            "gateway, and name this one in database.migration_url"
        )
    try:
        async with transaction(conn):
            await roles.set_rights(conn, name)
            await roles.insert_application_role(conn, name)
    except asyncpg.InsufficientPrivilegeError as error:
        raise UserError(
            f"only the owner of the tables may give rights ({error}): name the owner's "
            "database.migration_url"
        ) from None
    if await roles.get_can_create(conn, name):
        raise UserError(
            f"the role {name} may still create tables: as a superuser, REVOKE CREATE ON SCHEMA "
            f"public FROM PUBLIC, {name}"
        )
    try:
        await roles.set_limits(conn, name)
    except asyncpg.InsufficientPrivilegeError:
        return await roles.get_limits(conn, name)
    return []
