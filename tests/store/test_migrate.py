"""Migrations: each once, by one at a time, and never over a database that does not fit."""

import asyncio

import asyncpg
import pytest

from gateway.store.connection import Pool
from gateway.store.migrate import MigrationError, migrate, migrations, pending_migrations
from tests.conftest import eventually

#: The turn to migrate; constant over versions, or an old and a new one would not wait.
_LOCK = 7_301_001
_NAMES = [name for name, _ in migrations()]


@pytest.fixture
async def empty_pool(pool: Pool) -> Pool:
    """A database that was never migrated."""
    async with pool.acquire() as conn:
        await conn.execute("drop schema public cascade; create schema public")
    return pool


async def test_a_new_database_gets_every_migration_in_order(empty_pool: Pool) -> None:
    async with empty_pool.acquire() as conn:
        assert await pending_migrations(conn) == _NAMES
        assert await migrate(conn) == _NAMES == sorted(_NAMES)
        assert await pending_migrations(conn) == []
        await conn.execute("select from orders")


async def test_migrating_twice_applies_nothing_the_second_time(pool: Pool) -> None:
    async with pool.acquire() as conn:
        assert await migrate(conn) == []


async def test_migrations_at_the_same_time_apply_each_once(empty_pool: Pool) -> None:
    async def run() -> list[str]:
        async with empty_pool.acquire() as conn:
            return await migrate(conn)

    done = await asyncio.gather(*(run() for _ in range(4)))
    assert sorted(name for names in done for name in names) == _NAMES


async def test_a_turn_to_migrate_ends_with_its_transaction(pool: Pool) -> None:
    """Behind PgBouncer, what a session holds would be held by nobody knows whom."""
    async with pool.acquire() as conn:
        await migrate(conn)
        assert not await _held(pool)


async def test_a_migration_waits_for_another_longer_than_for_any_other_lock(pool: Pool) -> None:
    async def run() -> list[str]:
        async with pool.acquire() as conn:
            await conn.execute("set lock_timeout = '100ms'")
            done = await migrate(conn)
            assert await conn.fetchval("show lock_timeout") == "100ms"
            await conn.execute("reset lock_timeout")
            return done

    async with pool.acquire() as other:
        await other.execute(f"select pg_advisory_lock({_LOCK})")
        waiting = asyncio.create_task(run())
        await eventually(lambda: _waited(pool, seconds=0.5))
        await other.execute(f"select pg_advisory_unlock({_LOCK})")
    assert await waiting == []
    assert not await _held(pool)


async def test_a_migration_that_is_broken_off_while_it_waits_keeps_no_lock(pool: Pool) -> None:
    async with pool.acquire() as conn, pool.acquire() as other:
        await other.execute(f"select pg_advisory_lock({_LOCK})")
        waiting = asyncio.create_task(migrate(conn))
        await eventually(lambda: _waited(pool))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await other.execute(f"select pg_advisory_unlock({_LOCK})")
        assert await conn.fetchval("show lock_timeout") == "3s"
    assert not await _held(pool)


async def _waited(pool: Pool, seconds: float = 0.0) -> bool:
    """Whether somebody has waited that long for the turn to migrate."""
    async with pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                """select count(*) from pg_locks where locktype = 'advisory' and not granted
                      and objid = $1 and waitstart < clock_timestamp() - $2 * interval '1 second'
                      and database = (select oid from pg_database
                                       where datname = current_database())""",
                _LOCK,
                seconds,
            )
        )


async def _held(pool: Pool) -> bool:
    async with pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                """select count(*) from pg_locks where locktype = 'advisory' and objid = $1
                      and database = (select oid from pg_database
                                       where datname = current_database())""",
                _LOCK,
            )
        )


async def test_a_migration_that_was_changed_since_is_refused(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("update migration set sha256 = 'other' where name = $1", _NAMES[0])
        with pytest.raises(
            MigrationError, match=f"{_NAMES[0]} was changed .* install smm-gateway as"
        ):
            await migrate(conn)


async def test_a_newer_database_is_refused(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("insert into migration (name, sha256) values ('9999_future.sql', 'x')")
        with pytest.raises(MigrationError, match="9999_future"):
            await migrate(conn)


async def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(empty_pool: Pool) -> None:
    async with empty_pool.acquire() as conn:
        await conn.execute("create view order_event as select 1 as in_the_way")
        with pytest.raises(asyncpg.PostgresError):
            await migrate(conn)
        assert await conn.fetchval("select to_regclass('orders') is null")
        await conn.execute("drop view order_event")
        assert await migrate(conn) == _NAMES
