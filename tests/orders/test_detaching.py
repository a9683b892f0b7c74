"""Ranges of finished orders leave the tables: only finished ones, and the books stay proven."""

import asyncio
from dataclasses import dataclass

import pytest

from gateway.errors import UserError
from gateway.money.audit import audit
from gateway.money.watching import watch
from gateway.orders.detaching import detach, list_ranges
from gateway.store.connection import Pool, transaction
from tests.conftest import OpenGateway
from tests.finished import CHARGE, fill_finished
from tests.money.faults import tamper
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

_NUMBER = 60
_NEXT = 5_000_000


@dataclass(frozen=True, slots=True)
class Past:
    """Two resellers with finished orders in two ranges, the first of which may be detached."""

    first: Customer
    second: Customer
    service: int
    provider: int


@pytest.fixture
async def past(pool: Pool, world: World) -> Past:
    """Orders 1 to 60, and from 5,000,000 on."""
    first, second = await world.reseller("first"), await world.reseller("second")
    provider = await world.provider("http://127.0.0.1:9/api")
    service = await world.service(provider, rate="1")
    async with pool.acquire() as conn:
        for start, number in ((1, _NUMBER), (_NEXT, 5)):
            await fill_finished(
                conn, [first.id, second.id], service, provider.id, first=start, number=number
            )
    return Past(first, second, service, provider.id)


async def _run(pool: Pool, sql: str) -> None:
    async with pool.acquire() as conn:
        await conn.execute(sql)


async def test_a_finished_range_is_detached_and_the_books_stay_proven(
    pool: Pool, world: World, past: Past
) -> None:
    await world.assert_sound()
    noted = await detach(pool, 0)
    assert (noted.lower, noted.upper, noted.orders) == (0, _NEXT, _NUMBER)
    assert noted.size > 0
    await world.assert_sound()
    async with pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from orders") == 5
        assert await conn.fetchval("select count(*) from orders_0") == _NUMBER
        sums = await conn.fetch(
            "select reseller_id, currency, orders, charged, refunded, entries from detached_sum"
            " order by 1"
        )
        [notes] = await conn.fetch("select attempts, events, last_version from detached_range")
    half = _NUMBER // 2
    assert [tuple(row)[:4] for row in sums] == [
        (past.first.id, "USD", half, half * CHARGE),
        (past.second.id, "USD", half, half * CHARGE),
    ]
    assert sum(row["refunded"] for row in sums) == 2 * CHARGE + 3 * CHARGE // 4
    assert sum(row["entries"] for row in sums) == _NUMBER + 5
    assert tuple(notes) == (_NUMBER, 3 * _NUMBER, 3)


async def test_dropping_what_was_detached_changes_nothing(
    pool: Pool, world: World, past: Past
) -> None:
    await detach(pool, 0)
    await _run(pool, "drop table orders_0, attempt_0, order_event_0")
    await world.assert_sound()
    [gone, *_] = await list_ranges(pool)
    assert (gone[0].lower, gone[0].orders, gone[0].size, gone[1]) == (0, _NUMBER, 0, [])


_OPEN = "update orders set {} where id = 7"

_HOLDS = {
    "1 open orders": _OPEN.format("state = 'placed'"),
    "1 open orders, ": _OPEN.format("state = 'unknown'"),
    "1 finished orders that upstreams may still correct": _OPEN.format("next_at = now()"),
    "1 open refills": "insert into refill (order_id, reseller_id, provider_id, upstream_order)"
    " values (7, 1, 1, 'f7')",
    "1 open requests to cancel": "insert into cancellation (order_id) values (7)",
    "1 orders whose answer may not have arrived": "insert into unreceived values (1, 1, 7)",
    "1 links that are kept as active": "insert into active_link values (1, 1, 7)",
    "1 schedules that make further runs": "insert into schedule values (7, 2, 60, now())",
    "1 orders with an unfinished part or parent in another range": "insert into run values"
    f" (7, 1, {_NEXT}); update orders set state = 'queued' where id = {_NEXT}",
    "its ids are still being given": "update orders set created_at = now() - interval '50 minutes'"
    f" where id = {_NEXT}",
}


@pytest.mark.parametrize("reason", _HOLDS)
async def test_a_range_in_which_something_may_change_is_not_detached(
    pool: Pool, past: Past, reason: str
) -> None:
    await _run(pool, _HOLDS[reason])
    with pytest.raises(UserError, match="cannot be detached yet: ") as refusal:
        await detach(pool, 0)
    assert reason.rstrip(", ") in str(refusal.value)
    [[_, holds], *_] = await list_ranges(pool)
    assert any(hold.startswith(reason.rstrip(", ")) for hold in holds)
    async with pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from orders") == _NUMBER + 5
        assert await conn.fetchval("select count(*) from detached_range") == 0


async def test_a_range_with_an_open_order_is_not_detached(
    pool: Pool, world: World, past: Past
) -> None:
    # Sound in every other way: sent, and not ended yet.
    await _run(
        pool,
        """alter table order_event disable trigger user;
           delete from order_event where order_id = 7 and version = 3;
           alter table order_event enable trigger user;
           update orders set state = 'placed', version = 2, ended_at = null, wire_charge = charge,
                  wire_status = 'Pending', next_at = 'infinity' where id = 7""",
    )
    await world.assert_sound()
    with pytest.raises(UserError, match="cannot be detached yet: 1 open orders"):
        await detach(pool, 0)


@pytest.mark.parametrize("lower", [1, 5_000_001, 2_000_000_000])
async def test_only_whole_ranges_are_detached(pool: Pool, past: Past, lower: int) -> None:
    with pytest.raises(UserError, match=f"no range begins at {lower}"):
        await detach(pool, lower)


async def test_the_newest_ranges_are_not_detached(pool: Pool, past: Past) -> None:
    with pytest.raises(UserError, match="ids are still being given"):
        await detach(pool, _NEXT)


async def test_a_range_is_detached_once(pool: Pool, past: Past) -> None:
    await detach(pool, 0)
    with pytest.raises(UserError, match="detached already"):
        await detach(pool, 0)


async def test_a_broken_range_is_not_detached(pool: Pool, past: Past) -> None:
    await _run(pool, "update orders set wire_remains = 17, refunded = 0 where id = 25")
    with pytest.raises(UserError, match=r"refunds_match: order 25"):
        await detach(pool, 0)


async def test_detaching_gives_way_to_long_readers_and_is_done_after_them(
    pool: Pool, past: Past
) -> None:
    async with pool.acquire() as reader, transaction(reader, isolation="repeatable read"):
        await reader.fetch("select * from orders")
        work = asyncio.create_task(detach(pool, 0))
        async with pool.acquire() as other:
            for _ in range(20):
                # Whoever comes while it waits is held up briefly, not as long as the reader is.
                assert await other.fetchval("select count(*) from orders") == _NUMBER + 5
        assert not work.done()
    assert (await work).orders == _NUMBER


_TAMPERED = (
    "update entry set amount = amount + 1 where order_id = 3",
    "update entry set order_id = 100 where order_id = 3",
    "update entry set order_id = 4, step = 9 where order_id = 3",
    """update entry set amount = amount + case order_id when 3 then 1 else -1 end
        where order_id in (3, 5)""",
    "delete from entry where order_id = 3",
    """insert into entry select reseller_id, 1000, source, destination, amount, cause, order_id, 7,
                              balance_after from entry where order_id = 3""",
)


@pytest.mark.parametrize("sql", _TAMPERED)
async def test_a_changed_entry_of_a_detached_order_is_found(
    pool: Pool, past: Past, sql: str
) -> None:
    await detach(pool, 0)
    await _run(pool, "drop table orders_0, attempt_0, order_event_0")
    async with pool.acquire() as conn:
        await tamper(conn, sql)
    found = {finding.check for finding in (await audit(pool)).broken}
    assert "detached_ranges_match" in found
    seen: set[str] = set()
    for _ in range(6):
        done = await watch(pool, 0, slice_size=2_000_000)
        assert done is not None
        seen |= {finding.check for finding in done.found.broken}
    # That a statement does not add up shows in its entries, one by one.
    assert found - {"totals_match", "balance_is_history"} <= seen
    assert "balance_is_history" not in found or "statement_has_no_gap" in seen


async def test_the_notes_cannot_be_changed(pool: Pool, past: Past) -> None:
    await detach(pool, 0)
    for sql in ("update detached_sum set charged = 0", "delete from detached_range"):
        async with pool.acquire() as conn:
            with pytest.raises(Exception, match="append-only"):
                await conn.execute(sql)


@pytest.mark.parametrize(("parent", "part"), [(8, _NEXT + 100), (_NEXT + 2, 200)])
async def test_a_finished_family_may_lie_in_two_ranges(
    pool: Pool, world: World, past: Past, parent: int, part: int
) -> None:
    await _run(
        pool,
        f"""insert into schedule values ({parent}, 1, null, null);
            insert into run values ({parent}, 1, {part});
            create temp table made as select * from orders where id = {parent};
            update made set id = {part}, parent_id = {parent}, upstream_id = 'post', version = 1;
            insert into orders select * from made;
            insert into attempt (order_id, number, provider_id, upstream_service, state,
                                 upstream_id) values ({part}, 1, {past.provider}, '1', 'placed',
                                                      'post');
            insert into placement values ({past.provider}, 'post', {part});
            insert into order_event values ({part}, 1, 'placed', 'completed', 'test')""",
    )
    await world.assert_sound()
    await detach(pool, 0)
    await world.assert_sound()


async def test_others_are_served_on_and_detached_orders_are_unknown(
    pool: Pool, world: World, past: Past, open_gateway: OpenGateway, sandbox: SandboxProcess
) -> None:
    panel = await world.sandbox(sandbox)
    async with pool.acquire() as conn:
        service = await conn.fetchval(
            "select s.id from service s join route r on r.service_id = s.id"
            " where r.provider_id = $1 and s.type = 'Default' and s.enabled limit 1",
            panel.id,
        )
        await conn.execute("insert into external_id values ($1, 'old', 2)", past.first.id)
    owner = past.first if 2 % 2 == 0 else past.second
    async with open_gateway() as gateway, PanelClient(gateway.api_url, owner.key) as client:
        link = "https://www.instagram.com/p/NEW/"
        assert (await client.call("status", order=2))["status"] in ("Completed", "Partial")
        await detach(pool, 0)
        unknown = await client.call("status", order=2_000_000)
        assert await client.call("status", order=2) == unknown
        assert "error" in await client.call("refill", order=2)
        known = await client.call("status", order=_NEXT + 2)
        assert known["status"] == "Completed"
        many = await client.call("status", orders=f"2,{_NEXT + 2}")
        assert many[str(_NEXT + 2)] == known
        assert "error" in many["2"]
        placed = await client.call("add", service=service, link=link, quantity=1000)
        assert placed["order"] > _NEXT
        named = await client.call(
            "add", service=service, link=link, quantity=1000, external_id="old"
        )
        assert "error" in named
    await world.assert_sound()
