"""A COMMIT whose answer is lost: one order, one charge, and its client is told its id."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.grouping import GroupFailed
from gateway.orders.doubts import InDoubt
from gateway.orders.recording import Recorder
from gateway.orders.replaying import Replays
from gateway.orders.telling import Teller
from gateway.spool import DOUBT
from gateway.store.connection import Connection, Pool
from schemas.resellers import DuplicatePolicy
from tests.conftest import eventually
from tests.faults.doubtful import LINK, Till, open_till
from tests.faults.proxy import COMMIT, COMMITTED, Link, Toward, Trap
from tests.orders.line import DISPATCH
from tests.world import World


@pytest.fixture
async def till(world: World, database_url: str, tmp_path: Path) -> AsyncIterator[Till]:
    """Holds its clients for long."""
    async with open_till(world, database_url, tmp_path, hold=25) as opened:
        yield opened


@pytest.fixture
async def hasty(world: World, database_url: str, tmp_path: Path) -> AsyncIterator[Till]:
    """Hardly holds its clients."""
    async with open_till(world, database_url, tmp_path, hold=0.6) as opened:
        yield opened


Break = Callable[[Till], Trap]

#: Ways to lose the answer to the next COMMIT of which the server has heard.
_AFTER: dict[str, Break] = {
    "cut": lambda t: t.proxy.trap(COMMITTED, Link.cut, toward=Toward.CLIENT),
    "reset": lambda t: t.proxy.trap(COMMITTED, Link.reset, toward=Toward.CLIENT),
}
#: Ways to keep the next COMMIT from the server.
_BEFORE: dict[str, Break] = {
    "cut": lambda t: t.proxy.trap(COMMIT, Link.cut),
    "reset": lambda t: t.proxy.trap(COMMIT, Link.reset),
}


@pytest.mark.parametrize("way", _AFTER.values(), ids=_AFTER)
async def test_a_commit_whose_answer_is_lost_is_one_order_and_told(till: Till, way: Break) -> None:
    first = await till.add_and_arrive("https://doubt.example/0")
    trap = way(till)
    answer = await till.add()
    assert trap.sprung == 1
    assert (answer.repeated, answer.mark is not None) == (False, True)
    await till.assert_orders(first, answer.order_id)


@pytest.mark.parametrize("way", _BEFORE.values(), ids=_BEFORE)
async def test_a_commit_that_was_lost_is_made_again_under_the_same_id(
    till: Till, way: Break
) -> None:
    first = await till.add_and_arrive("https://doubt.example/0")
    trap = way(till)
    answer = await till.add()
    assert trap.sprung == 1
    # Ids are given in order: the lost transaction had this one too.
    assert (answer.order_id, answer.repeated) == (first + 1, False)
    await till.assert_orders(first, answer.order_id)


async def test_a_commit_over_a_connection_that_swallows_everything_is_found_on_another(
    world: World, database_url: str, tmp_path: Path
) -> None:
    async with open_till(world, database_url, tmp_path, hold=9) as till:
        trap = till.proxy.trap(COMMIT, Link.swallow, passes=True)
        answer = await till.add()
        assert (trap.sprung, answer.repeated) == (1, False)
        await till.assert_orders(answer.order_id)


async def test_a_group_in_doubt_is_decided_as_a_whole(till: Till) -> None:
    till.proxy.trap(COMMITTED, Link.cut, toward=Toward.CLIENT)
    links = [f"https://doubt.example/{number}" for number in range(30)]
    answers = await asyncio.gather(*map(till.add, links))
    await till.assert_orders(*(answer.order_id for answer in answers))


async def test_doubts_about_doubts_end_in_one_order(till: Till) -> None:
    swallowed = till.proxy.trap(COMMITTED, Link.reset, toward=Toward.CLIENT, times=3)
    answer = await till.add()
    assert swallowed.sprung == 3
    await till.assert_orders(answer.order_id)


@asynccontextmanager
async def _slow_commits(pool: Pool) -> AsyncIterator[Connection]:
    """The COMMIT of every charge waits until the block ends."""
    async with pool.acquire() as holder:
        await holder.execute(
            """create function wait_for_lock() returns trigger language plpgsql as $$
               begin perform pg_advisory_xact_lock_shared(9); return null; end $$"""
        )
        await holder.execute(
            """create constraint trigger slow after insert on entry
               deferrable initially deferred for each row execute function wait_for_lock()"""
        )
        await holder.execute("select pg_advisory_lock(9)")
        try:
            yield holder
        finally:
            await holder.execute("select pg_advisory_unlock(9)")


async def _commit_waits(conn: Connection) -> int:
    """The backend whose COMMIT waits; 0 if none does."""
    found = await conn.fetchval(
        "select pid from pg_stat_activity where query = 'commit'"
        " and wait_event_type = 'Lock' and datname = current_database()"
    )
    return int(found or 0)


async def test_a_commit_that_goes_on_without_us_is_waited_for(till: Till) -> None:
    # Neither a name nor a mark would tell that an order is there already.
    draft = replace(till.draft(), duplicates=DuplicatePolicy.ALLOW)
    async with _slow_commits(till.pool) as holder:
        adding = asyncio.create_task(till.intake.submit(draft))
        await eventually(lambda: _commit_waits(holder))
        till.proxy.cut()

        async def looks_again() -> bool:
            return bool(
                await holder.fetchval(
                    "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                    " and query like '%from balance%' and datname = current_database()"
                )
            )

        await eventually(looks_again)
        assert await till.orders() == [], "a reader sees nothing of it yet"
    await till.assert_orders((await adding).order_id)


async def test_a_backend_that_is_ended_in_its_commit_leaves_one_order(till: Till) -> None:
    async with _slow_commits(till.pool) as holder:
        adding = asyncio.create_task(till.add())
        pid = await eventually(lambda: _commit_waits(holder))
        await holder.execute("select pg_terminate_backend($1)", pid)
    await till.assert_orders((await adding).order_id)


async def test_a_commit_that_the_server_refuses_is_in_no_doubt(till: Till) -> None:
    async with till.pool.acquire() as conn:
        await conn.execute(
            """create function refuse() returns trigger language plpgsql as $$
               begin raise exception 'no'; end $$;
               create constraint trigger refused after insert on entry
               deferrable initially deferred for each row execute function refuse()"""
        )
    with pytest.raises(GroupFailed) as refused:
        await till.add()
    assert not isinstance(refused.value, InDoubt)
    await till.assert_orders()


async def test_an_intake_that_cannot_connect_is_in_no_doubt(till: Till) -> None:
    till.proxy.refuse()
    till.proxy.cut()
    with pytest.raises(GroupFailed) as failed:
        await till.add()
    assert not isinstance(failed.value, InDoubt)
    assert till.spool.entries(DOUBT) == []
    await till.assert_orders()


def _swallow_everything(till: Till) -> Trap:
    return till.proxy.trap(COMMIT, lambda _: till.proxy.swallow(), passes=True)


@pytest.mark.parametrize("name", [None, "shop-1"], ids=["blind", "named"])
async def test_a_doubt_that_outlasts_its_client_is_no_second_order_for_a_retry(
    hasty: Till, name: str | None
) -> None:
    _swallow_everything(hasty)
    with pytest.raises(InDoubt):
        await hasty.add(name=name)
    hasty.proxy.heal()
    [order] = await hasty.orders()
    again = await hasty.add(name=name)
    assert (again.order_id, again.repeated) == (order, True)
    await hasty.assert_orders(order)


async def test_a_retry_of_what_never_happened_is_a_new_order(hasty: Till) -> None:
    hasty.proxy.trap(COMMIT, lambda _: hasty.proxy.swallow())
    with pytest.raises(InDoubt):
        await hasty.add()
    hasty.proxy.heal()
    hasty.proxy.reset()
    again = await hasty.add()
    assert not again.repeated
    await hasty.assert_orders(again.order_id)


@pytest.mark.parametrize("happened", [True, False])
async def test_a_doubt_given_up_is_in_the_spool_until_it_is_known(
    hasty: Till, happened: bool
) -> None:
    hasty.proxy.trap(COMMIT, lambda _: hasty.proxy.swallow(), passes=happened)
    with pytest.raises(InDoubt):
        await hasty.add(name="shop-1")
    [entry] = hasty.spool.entries(DOUBT)
    [told] = entry.record["orders"]
    assert (told["reseller_id"], told["external_id"]) == (hasty.customer.id, "shop-1")
    assert LINK not in str(entry.record)
    hasty.proxy.heal()
    hasty.proxy.reset()
    recorder = Recorder(hasty.pool, DISPATCH, hasty.spool, {})
    await Replays(hasty.pool, hasty.spool, recorder).work()
    assert hasty.spool.entries(DOUBT) == []
    assert await hasty.orders() == ([told["id"]] if happened else [])


async def test_a_named_twin_in_a_doubt_is_the_same_order(till: Till) -> None:
    trap = till.proxy.trap(COMMITTED, Link.hold, toward=Toward.CLIENT)
    first = asyncio.create_task(till.add(name="shop-1"))
    await trap.wait()
    twin = asyncio.create_task(till.add(name="shop-1"))
    other = asyncio.create_task(till.elsewhere().submit(till.draft(name="shop-1")))
    assert (await other).repeated
    till.proxy.reset()
    order = (await first).order_id
    assert {(await twin).order_id, (await other).order_id} == {order}
    await till.assert_orders(order)


async def test_a_blind_twin_in_a_doubt_is_the_same_order_unless_the_first_was_answered(
    till: Till,
) -> None:
    trap = till.proxy.trap(COMMITTED, Link.hold, toward=Toward.CLIENT)
    first = asyncio.create_task(till.add())
    await trap.wait()
    twin = asyncio.create_task(till.add())
    other = asyncio.create_task(till.elsewhere().submit(till.draft()))
    till.proxy.reset()
    answer = await first
    assert answer.mark is not None
    till.receipts.settle(answer.mark, arrived=False)
    assert {(await twin).order_id, (await other).order_id} == {answer.order_id}
    await till.assert_orders(answer.order_id)


async def test_who_asks_by_name_for_a_young_order_is_told_of_it_behind_a_barrier(
    till: Till,
) -> None:
    order = await till.add(name="shop-1")
    barrier = till.proxy.trap(b"pg_logical_emit_message", lambda _: None, times=9)
    teller = Teller(till.behind)
    told = await teller.named_order(till.customer.id, "shop-1")
    assert told is not None
    assert (told.id, barrier.sprung) == (order.order_id, 1)
    async with till.pool.acquire() as conn:
        await conn.execute("update orders set created_at = now() - interval '2 minutes'")
    await teller.named_order(till.customer.id, "shop-1")
    await teller.orders(till.customer.id, [order.order_id])
    assert barrier.sprung == 1, "what is old is safe"
