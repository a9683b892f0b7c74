"""The mark of a database, by which several can share a Valkey."""

from gateway.store import versions
from gateway.store.connection import Pool, open_pool


async def test_a_database_keeps_its_mark_and_no_other_has_it(
    pool: Pool, database_url: str, migrated_template: str
) -> None:
    async with pool.acquire() as conn:
        await conn.execute("set timezone = 'Asia/Kathmandu'")
        mark = await versions.get_database_mark(conn)
        await conn.execute("reset timezone")
        assert await versions.get_database_mark(conn) == mark
    sibling = f"/{database_url.rpartition('/')[2].partition('?')[0]}"
    other = await open_pool(database_url.replace(sibling, f"/{migrated_template}"), size=1)
    try:
        async with other.acquire() as conn:
            assert await versions.get_database_mark(conn) != mark
    finally:
        await other.close()


async def test_a_copy_that_is_told_to_be_another_database_has_a_mark_of_its_own(pool: Pool) -> None:
    async with pool.acquire() as conn:
        before = await versions.get_database_mark(conn)
        await versions.set_new_mark(conn)
        mark = await versions.get_database_mark(conn)
        assert mark != before
        assert await versions.get_database_mark(conn) == mark
