"""The watching audit: what is new at once, what is old in slices, by one process at a time."""

import asyncio
import random

import pytest
import structlog

from gateway.metrics import AUDIT_VIOLATIONS
from gateway.money.audit import audit
from gateway.money.ledger import Book
from gateway.money.watching import last_run, watch
from gateway.store.connection import Pool, transaction
from gateway.workers.auditing import BackgroundAudit
from schemas.money import UNIT
from tests.finished import fill_finished
from tests.money.faults import ORDERS, order_row, sound_world, tamper
from tests.money.faulty_parts import sound_parts
from tests.world import Customer, World

#: Orders and entries of one slice: none of the first slices reaches the orders of these tests.
_SMALL = 3


@pytest.fixture
async def customers(world: World, pool: Pool) -> tuple[Customer, Customer]:
    """The resellers of a sound world."""
    first, second = await world.reseller("first"), await world.reseller("second")
    async with pool.acquire() as conn:
        await sound_world(conn, first, second)
        await sound_parts(conn, first)
        await conn.execute("select setval('order_id', 10001)")
    return first, second


async def _caught_up(pool: Pool) -> None:
    while True:
        done = await watch(pool, 0, slice_size=_SMALL)
        assert done is not None
        assert done.found.ok
        if not done.watch.behind:
            return


async def _look(pool: Pool) -> set[str]:
    done = await watch(pool, 0, slice_size=_SMALL)
    assert done is not None
    return {f"{finding.check}: {finding.row}" for finding in done.found.broken}


async def _do(pool: Pool, sql: str) -> None:
    async with pool.acquire() as conn:
        await tamper(conn, sql)


async def test_a_backlog_of_entries_is_caught_up_in_slices(
    pool: Pool, customers: tuple[Customer, Customer]
) -> None:
    done = await watch(pool, 0, slice_size=_SMALL)
    assert done is not None
    assert done.watch.behind
    await _caught_up(pool)
    async with pool.acquire() as conn:
        behind = await conn.fetchval(
            "select count(*) from balance left join audit_mark using (reseller_id)"
            " where entries is distinct from position"
        )
    assert behind == 0


async def test_what_went_wrong_since_the_last_run_is_found_until_it_is_mended(
    pool: Pool, customers: tuple[Customer, Customer]
) -> None:
    await _caught_up(pool)
    placed = ORDERS["placed"]
    # An order that was open ends, without a word in its history.
    end = (
        "update orders set state = 'completed', wire_status = 'Completed', ended_at = now()"
        f" where id = {placed}"
    )
    await _do(pool, end)
    await _do(pool, "update audit_watch set swept_to = 9000")
    wanted = {f"history_fits_row: order {placed}"}
    for _ in range(3):
        assert await _look(pool) == wanted
    await _do(
        pool,
        "update orders set version = version + 1 where id = 5;"
        "insert into order_event values (5, 3, 'placed', 'completed', 'test')",
    )
    assert placed == 5
    assert await _look(pool) == set()


async def test_a_new_order_is_looked_at_although_it_has_ended_meanwhile(
    pool: Pool, customers: tuple[Customer, Customer]
) -> None:
    await _caught_up(pool)
    await _do(pool, "update audit_watch set swept_to = 9000")
    async with pool.acquire() as conn, transaction(conn):
        book = await Book.open(conn, [customers[1].id])
        assert book.charge(customers[1].id, UNIT, 77)
        await book.write(conn)
        await order_row(conn, customers[1], 77, 2 * UNIT, "failed")
    assert "charged_once: order 77" in await _look(pool)


async def test_a_changed_entry_of_long_ago_is_found_within_one_tour(
    pool: Pool, customers: tuple[Customer, Customer]
) -> None:
    await _caught_up(pool)
    await _do(pool, "update entry set balance_after = balance_after + 1 where position = 4")
    found: set[str] = set()
    for _ in range(12):
        found |= await _look(pool)
    assert {f.check for f in (await audit(pool)).broken} == {"statement_has_no_gap"}
    assert found
    assert all(row.startswith("statement_has_no_gap") for row in found)


async def test_nothing_is_found_in_a_database_at_work(pool: Pool, world: World) -> None:
    customer = await world.reseller(funds="1000000")
    provider = await world.provider("http://127.0.0.1:9/api")
    service = await world.service(provider)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    stop = asyncio.Event()

    async def fill() -> None:
        first = 1
        while not stop.is_set():
            number = chance.randint(1, 200)
            async with pool.acquire() as conn:
                await fill_finished(
                    conn, [customer.id], service, provider.id, first=first, number=number
                )
            first += number + chance.choice([0, 0, 64])

    filling = asyncio.create_task(fill())
    for _ in range(15):
        done = await watch(pool, 0, slice_size=chance.randint(20, 500))
        assert done is not None
        assert done.found.ok, done.found.broken
    stop.set()
    await filling
    await world.assert_sound()


async def test_two_processes_never_audit_at_the_same_time(
    pool: Pool, customers: tuple[Customer, Customer]
) -> None:
    runs = await asyncio.gather(*(watch(pool, 60_000) for _ in range(5)))
    assert sum(run is not None for run in runs) == 1
    assert await watch(pool, 60_000) is None
    async with pool.acquire() as conn, transaction(conn):
        await conn.execute("lock table audit_watch in share row exclusive mode")
        assert await watch(pool, 0) is None


@pytest.mark.usefixtures("loud")
async def test_the_background_audit_names_what_is_broken_and_clears_it(
    pool: Pool, customers: tuple[Customer, Customer]
) -> None:
    await watch(pool, 0)
    background = BackgroundAudit(pool, 100)
    await _do(pool, "update balance set amount = amount + 1 where reseller_id = 2")

    async def run() -> list[dict[str, object]]:
        await _do(pool, "update audit_watch set ran_at = ran_at - interval '1 hour'")
        with structlog.testing.capture_logs() as logs:
            await background.work()
        return [dict(line) for line in logs if line["event"] == "audit.violated"]

    [line] = await run()
    assert (line["log_level"], line["check"], line["rows"]) == (
        "error",
        "balance_is_history",
        ["reseller 2"],
    )
    assert AUDIT_VIOLATIONS._value.get() == 1
    assert (await last_run(pool)).broken == 1
    await _do(pool, "update balance set amount = amount - 1 where reseller_id = 2")
    assert await run() == []
    assert AUDIT_VIOLATIONS._value.get() == 0


async def test_on_a_new_database_the_background_audit_begins_later(pool: Pool) -> None:
    await BackgroundAudit(pool, 60_000).work()
    assert (await last_run(pool)).age_ms is None


async def test_order_ids_that_run_out_are_a_warning(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("select setval('order_id', 1717986900)")
        await conn.execute("select make_order_ranges()")
    assert (await audit(pool)).warnings == ()
    async with pool.acquire() as conn:
        await conn.execute("select setval('order_id', 1717986964)")
    [warning] = (await audit(pool)).warnings
    assert warning.check == "order_ids_left"
