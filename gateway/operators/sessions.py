"""Sessions: a random value in a cookie, of which the database knows the hash.

They end by themselves half an hour after the last look and twelve hours after the beginning
(``store.operator_sessions``); a page that refreshes itself is no look. Each step of signing in has
a value of its own, so that one that was planted or seen before is worth nothing.
"""

import hashlib
import secrets
from dataclasses import dataclass

from gateway.store import operator_sessions as store
from gateway.store import operators
from gateway.store.connection import Connection, Pool, transaction
from schemas.operator_accounts import Notice, Operator, Session, Stage

_BYTES = 32
_LONGEST_AGENT = 200


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a session is, as far as it says so itself."""

    address: str | None
    agent: str


def new_secret() -> str:
    """A random text of 256 bits, for a cookie or a link."""
    return secrets.token_urlsafe(_BYTES)


def hash_of(secret: str) -> bytes:
    """What the database knows such a text by."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


async def begin(conn: Connection, operator: Operator, stage: Stage, browser: Browser) -> str:
    """Begin a session; returns the cookie's value."""
    value = new_secret()
    agent = "".join(c for c in browser.agent if c.isprintable())[:_LONGEST_AGENT]
    await store.insert_session(conn, hash_of(value), operator.id, stage, browser.address, agent)
    if stage is Stage.FULL:
        await operators.set_signed_in(conn, operator.id)
    return value


async def find(pool: Pool, value: str, *, is_look: bool) -> Session | None:
    """The session of a cookie; ``is_look`` keeps it alive."""
    async with pool.acquire() as conn:
        session = await store.get_session(conn, hash_of(value))
        if session is not None and is_look:
            await store.set_session_seen(conn, session.id)
    return session


async def end(pool: Pool, operator_id: int, session_id: int) -> bool:
    """End one session of an operator; False where it is over already."""
    async with pool.acquire() as conn, transaction(conn):
        return await store.delete_session(conn, operator_id, session_id)


async def leave_notice(pool: Pool, session: Session, notice: Notice | None) -> None:
    """Set or take away what the session's next page tells."""
    async with pool.acquire() as conn, transaction(conn):
        await store.set_session_notice(conn, session.id, notice)


async def list_of(pool: Pool, operator_id: int) -> list[Session]:
    """An operator's living sessions."""
    async with pool.acquire() as conn:
        return await store.list_sessions(conn, operator_id)


async def forget_dead_sessions(pool: Pool) -> None:
    """Forget sessions that are over."""
    async with pool.acquire() as conn, transaction(conn):
        await store.delete_dead_sessions(conn)
