"""The pool of database connections, and the one way to open a transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
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


class CommitInDoubt(Exception):
    """COMMIT was sent and not answered: the transaction may have happened, or may happen yet.

    It holds its row locks until it has ended, either way: whoever gets them knows.
    """


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
    CommitInDoubt,
)

#: One transaction had bad luck with others: it may succeed a moment later, with the database there.
BUSY: tuple[type[Exception], ...] = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    RolledBack,
    CommitInDoubt,
)

#: Until its COMMIT a transaction gets so long: several statements, each with the server's limit.
_LONGEST_SECONDS = 45.0
#: A COMMIT gets so long to be answered, where its transaction does not say otherwise.
_COMMIT_SECONDS = 30.0
#: A statement of its own gets so long: more than the server gives it.
_STATEMENT_SECONDS = 15.0
#: A ROLLBACK gets so long; a connection that is broken off rolls back as well.
_ROLLBACK_SECONDS = 2.0
#: Servers' errors that say that they do not know themselves: connections (08), 40003.
_KNOWS_NOTHING = ("08", "40003")


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


#: Who waits so long for a connection is told that there is none.
ACQUIRE_SECONDS = 5.0


class _Connection(asyncpg.Connection):
    """A connection that is broken off when a statement of its own is not answered.

    A frozen server enforces no limits. Inside a transaction its own limits hold: a time limit of
    asyncpg would cancel a COMMIT, and ask the frozen server for that.
    """

    @contextmanager
    def _limited(self) -> Iterator[None]:
        if self.is_in_transaction():
            yield
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_STATEMENT_SECONDS, self.terminate)
        try:
            yield
        finally:
            timer.cancel()

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        with self._limited():
            return await super().execute(*arguments, **options)

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        with self._limited():
            return await super().fetch(*arguments, **options)

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        with self._limited():
            return await super().fetchrow(*arguments, **options)

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        with self._limited():
            return await super().fetchval(*arguments, **options)


class _BoundedPool(asyncpg.Pool):
    """A pool in which nobody waits for a connection for ever: TimeoutError instead."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=ACQUIRE_SECONDS if timeout is None else timeout)


async def open_pool(
    url: str,
    *,
    size: int,
    connect_seconds: float = 10,
    pgbouncer: bool = False,
    unhurried: bool = False,
) -> Pool:
    """Connections to the server that takes writes, of those that ``url`` names.

    With ``pgbouncer`` nothing is expected of a session: no prepared statement outlives its
    transaction, and no setting is asked for that PgBouncer does not know. An ``unhurried`` pool is
    for copying whole tables: its statements take as long as they take.

    Raises:
        BadAddress: when ``url`` cannot be read.
        OSError, asyncpg.PostgresError, asyncpg.InternalClientError: when no server can be used.
    """
    address = Address.read(url, pgbouncer=pgbouncer)
    settings = {"application_name": "smm-gateway"}
    limits = SERVER_LIMITS | ({"statement_timeout": "0"} if unhurried else {})
    pool = _BoundedPool(
        connect=Servers(address, connect_seconds).connect,
        min_size=1,
        max_size=size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300,
        loop=None,
        connection_class=asyncpg.Connection if unhurried else _Connection,
        record_class=asyncpg.Record,
        reset=_leave_if_read_only,
        server_settings=settings if pgbouncer else settings | limits,
        statement_cache_size=0 if pgbouncer else 100,
    )
    await pool
    return pool


def is_superuser(conn: Connection) -> bool:
    """Whether the role that we are connected as is above all rights."""
    return getattr(conn.get_settings(), "is_superuser", "off") == "on"


@asynccontextmanager
async def transaction(
    conn: Connection,
    *,
    isolation: str = "read committed",
    patience: float | None = None,
    unhurried: bool = False,
) -> AsyncIterator[None]:
    """One transaction: committed at the end of the block, rolled back when it raises.

    The COMMIT is shielded: cancelling the caller neither cancels nor times it out, because a
    cancelled COMMIT may have happened. Its answer is checked, because a transaction in which an
    error was swallowed is answered with ROLLBACK and no exception. After ``patience`` seconds
    (30) without an answer the connection is given up; the server's work is not touched by that.

    What is not ``unhurried`` must come to its COMMIT in time: a server that is frozen, with a
    network that still confirms what is sent to it, would be waited for without end. Audits and
    migrations take as long as they take.

    Raises:
        TimeoutError: when it does not come to its COMMIT. The connection is gone then.
        RolledBack: when the server did not commit.
        CommitInDoubt: when its answer to COMMIT is lost. The connection is gone then.
    """
    async with asyncio.timeout(None if unhurried else _LONGEST_SECONDS) as limit:
        try:
            await conn.execute(f"begin isolation level {isolation}")
            if unhurried:
                await conn.execute("set local statement_timeout = 0")
            yield
            limit.reschedule(None)  # a COMMIT is never cut off
        except BaseException:
            if not limit.expired():
                limit.reschedule(None)
            await _roll_back(conn)
            raise
    tag = await _commit(conn, None if unhurried else patience or _COMMIT_SECONDS)
    if tag != "COMMIT":
        raise RolledBack(f"the database answered COMMIT with {tag}")


async def _commit(conn: Connection, patience: float | None) -> str:
    if _is_gone(conn):
        return "CLOSED"
    task = asyncio.ensure_future(conn.execute("commit"))
    cancelled = await _until_done(task, patience)
    if not task.done():
        # Not a cancellation: the server would end its wait for a standby and call that a success.
        set_aside(conn)
        await _until_done(task, None)
    error = task.exception()
    answered = error is None or is_answer(error)
    if not answered:
        # Closing in good order would ask the server for one thing more.
        set_aside(conn)
    if cancelled is not None:
        raise cancelled
    if not answered:
        raise CommitInDoubt(f"COMMIT was not answered: {type(error).__name__}") from error
    return task.result()


async def _roll_back(conn: Connection) -> None:
    if _is_gone(conn):
        return
    task = asyncio.ensure_future(conn.execute("rollback"))
    cancelled = await _until_done(task, _ROLLBACK_SECONDS)
    if not task.done() or task.exception() is not None:
        set_aside(conn)
        await _until_done(task, None)
        task.exception()
    if cancelled is not None:
        raise cancelled


def _is_gone(conn: Connection) -> bool:
    try:
        return conn.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken a broken connection away from us.
        return True


def set_aside(conn: Connection) -> None:
    """Break a connection off: what the server is committing on it goes on there."""
    if not _is_gone(conn):
        conn.terminate()


async def _until_done(
    task: asyncio.Future[str], patience: float | None
) -> asyncio.CancelledError | None:
    """Wait for the end of a task, at most ``patience`` seconds; the caller's cancellation, if any.

    The pool must not get the connection back while its COMMIT is on the wire, however often the
    caller is cancelled: it would break the connection off.
    """
    cancelled: asyncio.CancelledError | None = None
    clock = asyncio.get_running_loop().time
    end = None if patience is None else clock() + patience
    while not task.done() and (end is None or clock() < end):
        try:
            await asyncio.wait([task], timeout=None if end is None else end - clock())
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def is_answer(error: BaseException) -> bool:
    """Whether a failed COMMIT was answered by the server, so that nothing of it was kept.

    A FATAL one is no answer: a backend that is ended while it commits may have committed.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return False
    knows = not (error.sqlstate or "").startswith(_KNOWS_NOTHING)
    return knows and (error.severity_en or error.severity) == "ERROR"


def columns(items: Iterable[object], *names: str) -> list[list[Any]]:
    """One array per attribute name: the form in which a statement takes many rows at once."""
    rows = list(items)
    return [list(map(attrgetter(name), rows)) for name in names]
