"""Ranges of order ids: there in time, whole, and made while everybody reads and writes on."""

import asyncio

import asyncpg
import pytest

from gateway.store.connection import Connection, Pool, transaction

_PARENTS = ("orders", "attempt", "order_event")
_EVENT = "insert into order_event values ($1, 1, 'queued', 'sending', 'test')"


async def _make(conn: Connection) -> int:
    return int(await conn.fetchval("select make_order_ranges()"))


async def _use_ids_up_to(pool: Pool, number: int) -> None:
    async with pool.acquire() as conn:
        await conn.execute("select setval('order_id', $1)", number)


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


async def test_every_range_sums_its_times_up_by_itself(pool: Pool) -> None:
    await _use_ids_up_to(pool, 40_000_000)
    async with pool.acquire() as conn:
        await _make(conn)
        options = await conn.fetch(
            """select c.reloptions from pg_inherits i join pg_class c on c.oid = i.inhrelid
                where i.inhparent = 'orders_created'::regclass"""
        )
    assert len(options) > 3
    assert all("autosummarize=on" in row["reloptions"] for row in options)


async def test_a_range_is_made_behind_an_open_audit(pool: Pool) -> None:
    await _use_ids_up_to(pool, 40_000_000)
    async with pool.acquire() as audit, transaction(audit, isolation="repeatable read, read only"):
        for parent in _PARENTS:
            await audit.fetch(f"select * from {parent}")
        async with pool.acquire() as conn:
            assert await _make(conn) == 9
            await conn.execute(_EVENT, 41_000_000)
        for parent in _PARENTS:
            assert await audit.fetch(f"select * from {parent}") == []


async def test_reads_and_writes_go_on_while_a_range_is_made(pool: Pool) -> None:
    await _use_ids_up_to(pool, 40_000_000)
    async with pool.acquire() as maker, transaction(maker):
        assert await _make(maker) == 9
        async with pool.acquire() as conn:
            await conn.execute(_EVENT, 1)
            for parent in _PARENTS:
                await conn.fetch(f"select * from {parent}")


async def test_every_range_has_the_whole_tables_indexes_and_constraints_once(pool: Pool) -> None:
    await _use_ids_up_to(pool, 40_000_000)
    async with pool.acquire() as conn:
        await _make(conn)
        ranges = await conn.fetch(
            """select inhrelid::regclass::text as name, inhparent as parent from pg_inherits
                where inhparent::regclass::text = any($1)""",
            _PARENTS,
        )
        assert len(ranges) == 18
        for name, parent in ranges:
            # An index that hangs under none of the parent's would be one too many.
            found = await conn.fetch(
                """select i.inhparent from pg_index x left join pg_inherits i
                       on i.inhrelid = x.indexrelid where x.indrelid = $1::text::regclass""",
                name,
            )
            wanted = await conn.fetch(
                "select indexrelid from pg_index where indrelid = $1 and indisvalid", parent
            )
            assert sorted(r[0] or 0 for r in found) == sorted(r[0] for r in wanted), name
            rules = "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid ="
            checks = "and contype = 'c' order by conname"
            assert await conn.fetch(f"{rules} $1::text::regclass {checks}", name) == (
                await conn.fetch(f"{rules} $1 {checks}", parent)
            )


async def test_every_range_of_the_history_has_each_guard_once(pool: Pool) -> None:
    await _use_ids_up_to(pool, 40_000_000)
    async with pool.acquire() as conn:
        await _make(conn)
        rows = await conn.fetch(
            """select c.relname, t.tgname, t.tgparentid <> 0 as cloned
                 from pg_trigger t join pg_class c on c.oid = t.tgrelid
                where c.relname ~ '^order_event_[0-9]+$' order by 1, 2"""
        )
    guards: dict[str, list[tuple[str, bool]]] = {}
    for name, trigger, cloned in rows:
        guards.setdefault(name, []).append((trigger, cloned))
    assert len(guards) == 6
    assert all(g == [("append_only", True), ("no_truncate", False)] for g in guards.values())
