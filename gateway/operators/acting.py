"""Acting: what an operator does is logged in the transaction that does it, and done once."""

import getpass

from gateway.errors import UserError
from gateway.store import operator_actions as store
from gateway.store.connection import Connection
from schemas.operators import Act, Actor, Role, Warrant

_LONGEST_REASON = 1_000


class AlreadyDone(UserError):
    """The request was carried out before: its transaction must be rolled back, and all is well."""


async def record(conn: Connection, act: Act) -> None:
    """Write an act down; part of the transaction that makes the change.

    Raises:
        AlreadyDone: when the act's request was carried out before. Two at the same time wait for
            each other here, and only one goes on.
        UserError: for a reason that is no text of sensible length.
    """
    if act.reason is not None and not is_reason(act.reason):
        raise UserError(f"give a reason of 1 to {_LONGEST_REASON} characters")
    if not await store.insert_action(conn, act):
        raise AlreadyDone("this was done already: nothing was changed a second time")


def is_reason(text: str) -> bool:
    """Whether a text can stand as the reason of an act."""
    return len(text.strip()) > 0 and len(text) <= _LONGEST_REASON and text.isprintable()


def require_reason(warrant: Warrant) -> str:
    """The reason of what moves money, or takes something from somebody.

    Raises:
        UserError: when there is none.
    """
    if warrant.reason is None or not is_reason(warrant.reason):
        raise UserError(f"say why: a reason of 1 to {_LONGEST_REASON} characters (--reason TEXT)")
    return warrant.reason


def at_the_command_line() -> Actor:
    """Who works at the command line, by the name that the system knows them by."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return Actor(f"cli:{user}", Role.OWNER)
