"""The audit: silent about a sound database, and naming every fault that is planted in one."""

import pytest

from gateway.money.audit import audit
from gateway.money.watching import Watched, watch
from gateway.store.audit import INVARIANTS, WARNINGS
from gateway.store.connection import Pool
from gateway.store.facts import list_stuck_orders
from tests.money.faults import FAULTS, ORDERS, WAITS, PlantedFault, sound_world, tamper
from tests.money.faulty_parts import DRIP, PART_FAULTS, sound_parts
from tests.world import World


@pytest.fixture
async def sound_pool(pool: Pool, world: World) -> Pool:
    """A database with orders in many states, all in order."""
    first, second = await world.reseller("first"), await world.reseller("second")
    async with pool.acquire() as conn:
        await sound_world(conn, first, second)
        await sound_parts(conn, first)
        await conn.execute("select setval('order_id', 129)")
    return pool


async def watched(pool: Pool) -> Watched:
    """A run of the watching audit, with slices so small that a tour takes four runs."""
    done = await watch(pool, 0, slice_size=60)
    assert done is not None
    return done


async def test_an_empty_database_is_sound(pool: Pool) -> None:
    found = await audit(pool)
    assert found.ok
    assert found.warnings == ()


async def test_a_sound_world_gives_no_finding(sound_pool: Pool) -> None:
    found = await audit(sound_pool)
    assert [(f.check, f.row) for f in found.broken] == []
    assert found.warnings == ()


@pytest.mark.parametrize("fault", [*FAULTS, *PART_FAULTS], ids=lambda fault: fault.check)
async def test_a_planted_fault_is_found_by_its_check(sound_pool: Pool, fault: PlantedFault) -> None:
    async with sound_pool.acquire() as conn:
        await tamper(conn, fault.sql)
    found = await audit(sound_pool)
    assert not found.ok
    assert {f.check for f in found.broken} == fault.found_by


@pytest.mark.parametrize("fault", [*FAULTS, *PART_FAULTS], ids=lambda fault: fault.check)
async def test_the_watching_audit_finds_in_one_tour_what_the_whole_one_finds(
    sound_pool: Pool, fault: PlantedFault
) -> None:
    for _ in range(4):
        assert (await watched(sound_pool)).found.ok
    async with sound_pool.acquire() as conn:
        await tamper(conn, fault.sql)
    whole = {f.check for f in (await audit(sound_pool)).broken}
    found: set[str] = set()
    for _ in range(4):
        found |= {f.check for f in (await watched(sound_pool)).found.broken}
    # That totals differ shows in what is added up. A statement that does not add up shows in its
    # entries, or in the last of them.
    statement = {"balance_is_history", "statement_has_no_gap"}
    assert whole - statement - {"totals_match"} == found - statement
    assert bool(whole & statement) == bool(found & statement)


def test_every_check_has_a_planted_fault() -> None:
    checks = {check.name for check in INVARIANTS}
    # Notes on detached ranges are tampered with in tests/orders/test_detaching.py.
    checks.remove("detached_ranges_match")
    assert {fault.check for fault in (*FAULTS, *PART_FAULTS)} == checks


async def test_a_finding_names_the_row_that_is_broken(sound_pool: Pool) -> None:
    number = ORDERS["placed"]
    async with sound_pool.acquire() as conn:
        await tamper(conn, f"update orders set upstream_id = 'other' where id = {number}")
    [finding] = (await audit(sound_pool)).broken
    assert finding.row == f"order {number}"
    assert finding.meaning


@pytest.mark.parametrize(("state", "fine", "long"), WAITS)
async def test_what_waits_too_long_is_a_warning_and_breaks_nothing(
    sound_pool: Pool, state: str, fine: str, long: str
) -> None:
    waits = "created_at" if state == "queued" else "updated_at"
    waited = f"update orders set {waits} = now() - interval '{{}}' where id = {{}}"
    async with sound_pool.acquire() as conn:
        await conn.execute(waited.format(fine, ORDERS[state]))
        assert (await audit(sound_pool)).warnings == ()
        await conn.execute(waited.format(long, ORDERS[state]))
    found = await audit(sound_pool)
    assert found.ok
    [warning] = found.warnings
    assert warning.check == WARNINGS[0].name
    assert f"order {ORDERS[state]} is {state}" in warning.row


@pytest.mark.parametrize("state", ["queued", "sending"])
async def test_an_order_that_is_sent_in_vain_again_and_again_is_stuck(
    sound_pool: Pool, state: str
) -> None:
    async with sound_pool.acquire() as conn:
        await conn.execute(
            "update orders set created_at = now() - interval '11 minutes', updated_at = now()"
            " where id = $1",
            ORDERS[state],
        )
        [waiting] = await list_stuck_orders(conn)
    assert (waiting.state, waiting.number) == (state, 1)
    [warning] = (await audit(sound_pool)).warnings
    assert f"order {ORDERS[state]} is {state}, ordered " in warning.row


@pytest.mark.parametrize(
    ("waits", "named"),
    [
        ("update refill set updated_at = now() - interval '{}' where id = 2", "refill 2 is placed"),
        (
            "update refill set updated_at = now() - interval '{}' where id = 3",
            "refill 3 is unknown",
        ),
        (
            """update cancellation set order_id = 5, requested_at = now() - interval '{}'
                where state = 'requested'""",
            "order 5 is to be canceled",
        ),
    ],
    ids=["placed refill", "unknown refill", "request to cancel"],
)
async def test_aftercare_that_waits_too_long_is_a_warning(
    sound_pool: Pool, waits: str, named: str
) -> None:
    async with sound_pool.acquire() as conn:
        await conn.execute(waits.format("20 minutes"))
        assert (await audit(sound_pool)).warnings == ()
        await conn.execute(waits.format("8 days"))
    found = await audit(sound_pool)
    assert found.ok
    assert [warning.row.partition(" since ")[0] for warning in found.warnings] == [named]


async def test_a_drip_feed_that_nobody_looks_at_is_a_warning(sound_pool: Pool) -> None:
    late = f"update orders set next_at = now() - interval '11 minutes' where id = {DRIP}"
    async with sound_pool.acquire() as conn:
        await conn.execute(late)
    found = await audit(sound_pool)
    assert found.ok
    [warning] = found.warnings
    assert f"order {DRIP} is scheduled" in warning.row
