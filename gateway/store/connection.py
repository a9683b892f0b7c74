"""The pool of database connections, and the one way to open a transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

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


#: Who waits so long for a connection is told that there is none.
ACQUIRE_SECONDS = 5.0


async def _keep_session(_: object) -> None:
    """No session state is ever set, so a returned connection needs no round trip to reset it."""


class _BoundedPool(asyncpg.Pool):
    """A pool in which nobody waits for a connection for ever: TimeoutError instead."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=ACQUIRE_SECONDS if timeout is None else timeout)


async def open_pool(url: str, *, size: int, connect_seconds: float = 10) -> Pool:
    """Connections to the primary. Server-side limits end forgotten locks and statements.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses us.
    """
    pool = _BoundedPool(
        url,
        min_size=1,
        max_size=size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        timeout=connect_seconds,
        reset=_keep_session,
        server_settings={
            "application_name": "smm-gateway",
            "jit": "off",
            "lock_timeout": "3s",
            "idle_in_transaction_session_timeout": "15s",
        },
    )
    await pool
    return pool


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
