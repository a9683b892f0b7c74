"""Migrations: each once, by one at a time, and never over a database that does not fit."""

import asyncio

import asyncpg
import pytest

from gateway.store.connection import Pool
from gateway.store.migrate import MigrationError, migrate, migrations, pending_migrations

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
    assert sorted(done) == [[], [], [], _NAMES]


async def test_a_migration_that_was_changed_since_is_refused(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("update migration set sha256 = 'other' where name = $1", _NAMES[0])
        with pytest.raises(MigrationError, match=f"{_NAMES[0]} was changed"):
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


@pytest.mark.parametrize("used", [1, 4_999_999, 5_000_001, 23_000_000, 2_147_483_000])
async def test_there_is_always_room_for_orders_to_come(pool: Pool, used: int) -> None:
    async with pool.acquire() as conn:
        await conn.execute("select setval('order_id', $1)", used)
        await conn.fetchval("select make_order_ranges()")
        assert await conn.fetchval("select make_order_ranges()") == 0
        for ahead in (0, 4_999_999):
            number = min(used + ahead, 2**31 - 2)
            await conn.execute(
                "insert into order_event values ($1, 1, 'queued', 'sending', 'test')", number
            )
            with pytest.raises(asyncpg.RestrictViolationError):
                await conn.execute("delete from order_event where order_id = $1", number)


async def test_ranges_made_at_the_same_time_are_made_once(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("select setval('order_id', 40000000)")

    async def make() -> int:
        async with pool.acquire() as conn:
            return int(await conn.fetchval("select make_order_ranges()"))

    assert sorted(await asyncio.gather(*(make() for _ in range(4)))) == [0, 0, 0, 9]
