"""Operators' accounts: made and changed by owners, at the console or the command line."""

import re

from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.operators.seeds import Seeds
from gateway.operators.sessions import hash_of, new_secret
from gateway.store import operator_sessions, operators
from gateway.store.connection import Connection, Pool, transaction
from schemas.operator_accounts import Operator
from schemas.operators import Role, Subject, Warrant

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII)
WELCOME_HOURS = 24


def account_name(typed: str) -> str:
    """The account that is meant by what is typed; empty for what no account can be named."""
    name = typed.strip().casefold()
    return name if _NAME.fullmatch(name) else ""


def _subject(name: str) -> Subject:
    return Subject("operator", name)


async def create_operator(pool: Pool, warrant: Warrant, name: str, role: Role) -> str:
    """Open an account; returns the text of its welcome link, which is shown once.

    Raises:
        UserError: for a name that is none, or is taken.
    """
    if _NAME.fullmatch(name) is None:
        raise UserError(
            "a name has 1 to 40 small letters, digits, dots, dashes or underscores, and begins "
            "with a letter or digit"
        )
    async with pool.acquire() as conn, transaction(conn):
        number = await operators.insert_operator(conn, name, role)
        if number is None:
            raise UserError(f"there is an operator {name} already: choose another name")
        await record(conn, warrant.act("operator.created", _subject(name), after={"role": role}))
        return await _welcome(conn, number)


async def _welcome(conn: Connection, operator_id: int) -> str:
    token = new_secret()
    await operators.set_welcome(conn, operator_id, hash_of(token), WELCOME_HOURS)
    return token


async def find_operator(conn: Connection, name: str) -> Operator:
    """The operator of that name, locked.

    Raises:
        UserError: when there is none.
    """
    found = await operators.get_operator(conn, name)
    locked = await operators.lock_operator(conn, found.id) if found else None
    if locked is None:
        raise UserError(f"there is no operator {name}: see `smm-gateway operator list`")
    return locked


async def list_operators(pool: Pool) -> list[Operator]:
    """All operators, by name."""
    async with pool.acquire() as conn:
        return await operators.list_operators(conn)


async def change_operator(
    pool: Pool,
    warrant: Warrant,
    name: str,
    *,
    role: Role | None = None,
    enabled: bool | None = None,
) -> Operator:
    """Change what an operator may do; it ends his sessions, so that none goes on with old rights.

    Raises:
        UserError: when there is no such operator, or he is the last owner who may sign in.
    """
    async with pool.acquire() as conn, transaction(conn):
        owners = await operators.lock_owners(conn)
        before = await find_operator(conn, name)
        role = before.role if role is None else role
        enabled = before.enabled if enabled is None else enabled
        if owners == [before.id] and not (role is Role.OWNER and enabled):
            raise UserError(f"{name} is the last owner: make another operator an owner first")
        if (role, enabled) == (before.role, before.enabled):
            return before
        await operators.set_operator(conn, before.id, role, enabled=enabled)
        await operator_sessions.delete_sessions(conn, before.id)
        if not enabled:
            # Else the link would open the account when he is let in again.
            await operators.delete_welcomes(conn, before.id)
        act = warrant.act(
            "operator.changed",
            _subject(name),
            before={"role": before.role, "enabled": before.enabled},
            after={"role": role, "enabled": enabled},
        )
        await record(conn, act)
        return await find_operator(conn, name)


async def reset_operator(
    pool: Pool, warrant: Warrant, name: str, seeds: Seeds | None = None
) -> str:
    """Give an operator a new welcome link and end his sessions; returns the text of the link.

    The password works until the link was used. With ``seeds`` the second factor goes as well, for
    whoever has lost the phone and the recovery codes.

    Raises:
        UserError: when there is no such operator.
    """
    async with pool.acquire() as conn, transaction(conn):
        operator = await find_operator(conn, name)
        await operator_sessions.delete_sessions(conn, operator.id)
        if seeds is not None:
            await forget_second_factor(conn, operator.id, seeds)
        act = warrant.act(
            "operator.reset",
            _subject(name),
            after={"second_factor": "kept" if seeds is None else "gone"},
        )
        await record(conn, act)
        return await _welcome(conn, operator.id)


async def forget_second_factor(conn: Connection, operator_id: int, seeds: Seeds) -> None:
    """Take an operator's second factor away; part of a transaction."""
    await operators.set_code_step(conn, operator_id, None)
    await operators.delete_recovery_codes(conn, operator_id)
    await seeds.forget(conn, operator_id)


async def end_sessions(pool: Pool, warrant: Warrant, name: str) -> int:
    """End all sessions of an operator; returns how many there were.

    Raises:
        UserError: when there is no such operator.
    """
    async with pool.acquire() as conn, transaction(conn):
        operator = await find_operator(conn, name)
        ended = await operator_sessions.delete_sessions(conn, operator.id)
        act = warrant.act("operator.sessions_ended", _subject(name), after={"ended": ended})
        await record(conn, act)
    return ended
