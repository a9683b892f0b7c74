"""The pool of database connections, and the one way to open a transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.store.primary import Address, Servers

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Record: TypeAlias = asyncpg.Record


class RolledBack(Exception):
    """The server answered COMMIT with something else: nothing of the transaction was kept."""


#: The database is away, busy or locked: what failed may succeed when it is tried again.
TRANSIENT: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidTransactionStateError,  # read only, while a server is not the primary
    RolledBack,
)


#: What ends forgotten locks and statements. It is the server's doing, because a time limit on our
#: side would cancel a COMMIT, and a COMMIT that is cancelled while it waits for a standby stays
#: committed here alone. Behind PgBouncer the role has them (``smm-gateway database grant``).
SERVER_LIMITS = {
    "jit": "off",
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
}


async def _leave_if_read_only(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Runs when a connection is returned, and asks the server nothing.

    No session state is ever set, so there is nothing to reset. But a server that says that it takes
    no writes any more is left, so that the next connection finds the one that does.
    """
    settings = conn.get_settings()
    said = (getattr(settings, name, "off") for name in _READ_ONLY)
    if "on" in said:
        conn.terminate()


_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")


async def open_pool(
    url: str, *, size: int, connect_seconds: float = 10, pgbouncer: bool = False
) -> Pool:
    """Connections to the server that takes writes, of those that ``url`` names.

    With ``pgbouncer`` nothing is expected of a session: no prepared statement outlives its
    transaction, and no setting is asked for that PgBouncer does not know.

    Raises:
        BadAddress: when ``url`` cannot be read.
        OSError, asyncpg.PostgresError, asyncpg.InternalClientError: when no server can be used.
    """
    address = Address.read(url, pgbouncer=pgbouncer)
    settings = {"application_name": "smm-gateway"}
    return await asyncpg.create_pool(
        connect=Servers(address, connect_seconds).connect,
        min_size=1,
        max_size=size,
        reset=_leave_if_read_only,
        server_settings=settings if pgbouncer else settings | SERVER_LIMITS,
        statement_cache_size=0 if pgbouncer else 100,
    )


async def lift_statement_limit(conn: Connection) -> None:
    """The open transaction's statements take as long as they take: for audits and migrations."""
    await conn.execute("set local statement_timeout = 0")


def is_superuser(conn: Connection) -> bool:
    """Whether the role that we are connected as is above all rights."""
    return getattr(conn.get_settings(), "is_superuser", "off") == "on"


@asynccontextmanager
async def transaction(
    conn: Connection, *, isolation: str = "read committed"
) -> AsyncIterator[None]:
    """One transaction: committed at the end of the block, rolled back when it raises.

    The COMMIT is shielded: cancelling the caller neither cancels nor times it out, because a
    cancelled COMMIT may have happened. Its answer is checked, because a transaction in which an
    error was swallowed is answered with ROLLBACK and no exception.

    Raises:
        RolledBack: when the server did not commit.
    """
    await conn.execute(f"begin isolation level {isolation}")
    try:
        yield
    except BaseException:
        await _finish(conn, "rollback")
        raise
    tag = await _finish(conn, "commit")
    if tag != "COMMIT":
        raise RolledBack(f"the database answered COMMIT with {tag}")


async def _finish(conn: Connection, verb: str) -> str:
    if conn.is_closed():
        return "CLOSED"
    task = asyncio.ensure_future(conn.execute(verb))
    cancelled: asyncio.CancelledError | None = None
    # The pool must not get the connection back while its COMMIT is on the wire, however often
    # the caller is cancelled: it would break the connection off.
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()


def columns(items: Iterable[object], *names: str) -> list[list[Any]]:
    """One array per attribute name: the form in which a statement takes many rows at once."""
    rows = list(items)
    return [list(map(attrgetter(name), rows)) for name in names]
