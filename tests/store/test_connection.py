"""Transactions: what is taken for committed is, and a COMMIT is never cancelled."""

import asyncio

import asyncpg
import pytest

from gateway.store import connection
from gateway.store.connection import (
    TRANSIENT,
    CommitInDoubt,
    Connection,
    Pool,
    RolledBack,
    columns,
    open_pool,
    transaction,
)
from tests.conftest import eventually
from tests.faults.proxy import ChaosProxy


@pytest.fixture
async def counted(pool: Pool) -> Pool:
    """A pool with a table to write into; committing a row with a 9 takes until a lock is free."""
    async with pool.acquire() as conn:
        await conn.execute("create table note (number int unique)")
        await conn.execute(
            """create function wait_for_lock() returns trigger language plpgsql as $$
               begin
                   if new.number = 9 then perform pg_advisory_xact_lock(9); end if;
                   return null;
               end $$"""
        )
        await conn.execute(
            """create constraint trigger slow after insert on note
               deferrable initially deferred for each row execute function wait_for_lock()"""
        )
    return pool


async def _numbers(pool: Pool) -> list[int]:
    async with pool.acquire() as conn:
        return [row[0] for row in await conn.fetch("select number from note order by 1")]


async def _write(conn: Connection, number: int) -> None:
    await conn.execute("insert into note values ($1)", number)


async def test_a_block_that_ends_is_committed(counted: Pool) -> None:
    async with counted.acquire() as conn, transaction(conn):
        await _write(conn, 1)
    assert await _numbers(counted) == [1]


async def test_a_block_that_raises_is_rolled_back(counted: Pool) -> None:
    async def fail(conn: Connection) -> None:
        async with transaction(conn):
            await _write(conn, 1)
            raise LookupError

    async with counted.acquire() as conn:
        with pytest.raises(LookupError):
            await fail(conn)
        assert not conn.is_in_transaction()
    assert await _numbers(counted) == []


async def test_a_swallowed_error_is_not_taken_for_a_commit(counted: Pool) -> None:
    async def swallow(conn: Connection) -> None:
        async with transaction(conn):
            await _write(conn, 1)
            with pytest.raises(asyncpg.UniqueViolationError):
                await _write(conn, 1)

    async with counted.acquire() as conn:
        with pytest.raises(RolledBack):
            await swallow(conn)
    assert await _numbers(counted) == []


async def _commit_of_nine(pool: Pool) -> bool:
    async with pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                "select count(*) from pg_stat_activity where query = 'commit'"
                " and wait_event_type = 'Lock' and datname = current_database()"
            )
        )


@pytest.mark.parametrize("cancellations", [1, 3])
async def test_a_cancelled_caller_does_not_cancel_its_commit(
    counted: Pool, cancellations: int
) -> None:
    async def write() -> None:
        async with counted.acquire() as conn, transaction(conn):
            await _write(conn, 9)

    async with counted.acquire() as holder:
        await holder.execute("begin")
        await holder.execute("select pg_advisory_xact_lock(9)")
        writer = asyncio.create_task(write())
        await eventually(lambda: _commit_of_nine(counted))
        for _ in range(cancellations):
            writer.cancel()
            await asyncio.wait([writer], timeout=0.05)
        assert not writer.done()
        await holder.execute("commit")
    with pytest.raises(asyncio.CancelledError):
        await writer
    assert await _numbers(counted) == [9]


async def test_a_commit_that_nobody_waits_for_any_more_still_happens(counted: Pool) -> None:
    async def write() -> None:
        async with counted.acquire() as conn, transaction(conn, patience=0.2):
            await _write(conn, 9)

    async with counted.acquire() as holder:
        await holder.execute("begin")
        await holder.execute("select pg_advisory_xact_lock(9)")
        with pytest.raises(CommitInDoubt):
            await write()
        assert await _numbers(counted) == []
        assert await _commit_of_nine(counted)
        await holder.execute("commit")
    assert await eventually(lambda: _numbers(counted)) == [9]


async def test_a_backend_that_is_ended_in_its_commit_leaves_a_doubt(counted: Pool) -> None:
    async def write() -> None:
        async with counted.acquire() as conn, transaction(conn):
            await _write(conn, 9)

    async with counted.acquire() as holder:
        await holder.execute("begin")
        await holder.execute("select pg_advisory_xact_lock(9)")
        writer = asyncio.create_task(write())
        await eventually(lambda: _commit_of_nine(counted))
        await holder.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query = 'commit'"
            " and wait_event_type = 'Lock' and datname = current_database()"
        )
        with pytest.raises(CommitInDoubt):
            await writer
        await holder.execute("commit")


async def test_a_commit_that_the_server_refuses_is_its_error(pool: Pool) -> None:
    async def write(conn: Connection) -> None:
        async with transaction(conn):
            await conn.execute("insert into twice values (1), (1)")

    async with pool.acquire() as conn:
        await conn.execute("create table twice (number int unique deferrable initially deferred)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await write(conn)
        assert await conn.fetchval("select count(*) from twice") == 0


async def test_a_block_cancelled_in_its_middle_leaves_a_clean_connection(counted: Pool) -> None:
    async with counted.acquire() as holder:
        await holder.execute("begin")
        await holder.execute("select pg_advisory_xact_lock(5)")

        async def wait() -> None:
            async with counted.acquire() as conn, transaction(conn):
                await _write(conn, 1)
                await conn.execute("select pg_advisory_xact_lock(5)")

        waiter = asyncio.create_task(wait())

        async def waiting() -> bool:
            async with counted.acquire() as conn:
                return bool(
                    await conn.fetchval(
                        "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                    )
                )

        await eventually(waiting)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await holder.execute("commit")
    assert await _numbers(counted) == []
    async with counted.acquire() as conn:
        idle = await conn.fetchval(
            "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
            " and datname = current_database()"
        )
    assert idle == 0


async def test_a_connection_that_broke_is_never_a_commit(counted: Pool) -> None:
    async def write() -> None:
        async with counted.acquire() as conn, transaction(conn):
            await _write(conn, 1)
            pid = await conn.fetchval("select pg_backend_pid()")
            async with counted.acquire() as other:
                await other.execute("select pg_terminate_backend($1)", pid)
            while not conn.is_closed():
                await asyncio.sleep(0.005)

    with pytest.raises((RolledBack, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await write()
    assert await _numbers(counted) == []


async def test_the_server_ends_a_wait_for_a_lock(pool: Pool) -> None:
    async with pool.acquire() as conn:
        assert await conn.fetchval("show lock_timeout") == "3s"
        assert await conn.fetchval("show idle_in_transaction_session_timeout") == "15s"


def test_rows_become_one_array_per_column() -> None:
    assert columns([1 + 2j, 3 + 4j], "real", "imag") == [[1.0, 3.0], [2.0, 4.0]]
    assert columns([], "real", "imag") == [[], []]


async def test_a_transaction_on_a_server_that_says_nothing_ends_and_the_pool_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LONGEST_SECONDS", 0.5)
    async with ChaosProxy.before(database_url) as proxy:
        pool = await open_pool(proxy.through(database_url), size=1)

        async def ask() -> None:
            async with pool.acquire() as conn, transaction(conn):
                proxy.swallow()
                await conn.fetchval("select 1")

        with pytest.raises(TimeoutError):
            await ask()
        proxy.heal()
        async with pool.acquire() as conn, transaction(conn):
            assert await conn.fetchval("select 1") == 1
        await pool.close()


async def test_a_plain_read_of_a_server_that_says_nothing_ends_and_the_pool_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_STATEMENT_SECONDS", 0.5)
    async with ChaosProxy.before(database_url) as proxy:
        pool = await open_pool(proxy.through(database_url), size=1)
        assert await pool.fetchval("select 1") == 1
        proxy.swallow()
        with pytest.raises(TRANSIENT):
            await pool.fetchval("select 1")
        proxy.heal()
        assert await pool.fetchval("select 1") == 1
        await pool.close()


async def test_a_commit_that_is_never_answered_is_given_up_in_doubt(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_COMMIT_SECONDS", 0.5)
    async with ChaosProxy.before(database_url) as proxy:
        pool = await open_pool(proxy.through(database_url), size=1)

        async def write() -> None:
            async with pool.acquire() as conn, transaction(conn):
                await conn.fetchval("select 1")
                proxy.swallow()

        with pytest.raises(CommitInDoubt):
            await write()
        proxy.heal()
        assert await pool.fetchval("select 1") == 1
        await pool.close()


async def test_a_transaction_is_not_held_to_the_limit_of_a_statement_of_its_own(
    counted: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counted.acquire() as conn, transaction(conn):
        monkeypatch.setattr(connection, "_STATEMENT_SECONDS", 0.0)
        await conn.execute("select pg_sleep(0.1)")
        await _write(conn, 1)
    monkeypatch.undo()
    assert await _numbers(counted) == [1]


async def test_what_is_unhurried_takes_as_long_as_it_takes(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LONGEST_SECONDS", 0.0)
    async with pool.acquire() as conn:
        async with transaction(conn, unhurried=True):
            assert await conn.fetchval("show statement_timeout") == "0"
        with pytest.raises(TimeoutError):
            async with transaction(conn):
                await conn.fetchval("select pg_sleep(60)")
    assert await pool.fetchval("show statement_timeout") != "0"
