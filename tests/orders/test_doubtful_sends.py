"""Claims and records whose COMMIT gets no answer: nothing is sent twice, nothing known is lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from gateway.metrics import SPOOL_QUARANTINED
from gateway.orders.dispatch import Sender, freeze_forgotten
from gateway.orders.failover import Outcome, Withheld
from gateway.orders.recording import Ended, Recorder
from gateway.orders.replaying import Replays
from gateway.orders.spooling import read_outcome, spooled_outcome
from gateway.orders.unclaiming import give_back
from gateway.quarantine import list_quarantined
from gateway.spool import OUTCOME, Spool
from gateway.store.connection import open_pool, transaction
from providers.errors import Ambiguous, Rejected, Unavailable
from schemas.orders import AttemptState, ClaimedOrder, OrderState
from schemas.upstream import Exchange, Placed, RefusalGroup
from tests.conftest import eventually
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Link, Toward
from tests.orders.line import DISPATCH, Line, faulty


async def _claim_one(line: Line) -> tuple[ClaimedOrder, float]:
    claim = await line.sender.claim(line.provider, 1)
    [order] = claim.orders
    return order, claim.at


@asynccontextmanager
async def _behind(line: Line, database_url: str) -> AsyncIterator[tuple[Line, ChaosProxy]]:
    """The line with its sender behind a proxy."""
    async with ChaosProxy.before(database_url) as proxy:
        pool = await open_pool(proxy.through(database_url), size=3)
        sender = Sender(pool, DISPATCH, time.monotonic, line.spool)
        try:
            yield replace(line, sender=sender), proxy
        finally:
            pool.terminate()


@pytest.fixture
async def shaky(line: Line, database_url: str) -> AsyncIterator[tuple[Line, ChaosProxy]]:
    """A line whose sender is behind a proxy, and the proxy."""
    async with _behind(line, database_url) as opened:
        yield opened


@pytest.mark.parametrize("happened", [True, False])
async def test_a_claim_in_doubt_sends_nothing_and_goes_back_into_the_queue(
    shaky: tuple[Line, ChaosProxy], happened: bool
) -> None:
    line, proxy = shaky
    link = faulty()
    [number] = await line.place(link)
    if happened:
        trap = proxy.trap(COMMITTED, Link.cut, toward=Toward.CLIENT)
    else:
        trap = proxy.trap(COMMIT, Link.cut)
    assert await line.send() == []
    assert trap.sprung == 1
    assert (await line.row(number))["state"] == OrderState.QUEUED
    assert line.upstream_requests(link) == 0
    await line.world.assert_sound()
    await line.send()
    assert (await line.row(number))["state"] == OrderState.PLACED
    assert line.upstream_requests(link) == 1
    await line.world.assert_sound()


async def test_a_claim_that_breaks_off_before_its_attempts_has_taken_nothing(
    shaky: tuple[Line, ChaosProxy],
) -> None:
    line, proxy = shaky
    [number] = await line.place(faulty())
    trap = proxy.trap(b"insert into attempt", Link.cut)
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await line.sender.claim(line.provider, 1)
    assert trap.sprung == 1
    assert (await line.row(number))["state"] == OrderState.QUEUED, "claimed in halves"
    await line.world.assert_sound()


async def test_giving_back_leaves_alone_what_somebody_else_has_claimed_meanwhile(
    line: Line,
) -> None:
    [number] = await line.place(faulty())
    order, _ = await _claim_one(line)
    # Our own claim of it was rolled back: it had the same number, and began at another time.
    await give_back(line.pool, [order], datetime(2026, 1, 1, tzinfo=UTC), 10)
    assert (await line.row(number))["state"] == OrderState.SENDING
    assert await line.attempts(number) == [AttemptState.INTENT]
    async with line.pool.acquire() as conn:
        began = await conn.fetchval("select started_at from attempt")
    await give_back(line.pool, [order], began, 10)
    assert (await line.row(number))["state"] == OrderState.QUEUED
    assert await line.attempts(number) == [AttemptState.NOT_SENT]
    await line.world.assert_sound()


async def test_a_claim_that_is_committed_late_is_waited_for(line: Line) -> None:
    [number] = await line.place(faulty())
    async with line.pool.acquire() as conn:
        async with transaction(conn):
            # As a claim whose COMMIT is still at work: it holds the order.
            await conn.execute("update orders set state = 'sending', version = 1, attempts = 1")
            began = await conn.fetchval(
                "insert into attempt (order_id, number, provider_id, upstream_service)"
                " select id, 1, provider_id, upstream_service from orders returning started_at"
            )
            await conn.execute(
                "insert into order_event (order_id, version, from_state, to_state, cause)"
                " select id, 1, 'queued', 'sending', 'claimed' from orders"
            )
            rows = await conn.fetch("select * from orders")
            claimed = _claimed(dict(rows[0]), began)
            giving = asyncio.create_task(give_back(line.pool, [claimed], began, 30))
            await eventually(lambda: _waits_for_orders(line))
        await giving
    assert (await line.row(number))["state"] == OrderState.QUEUED
    await line.world.assert_sound()


def _claimed(row: dict[str, object], began: datetime) -> ClaimedOrder:
    names = ("id", "version", "attempts", "service_type", "upstream_service", "link", "quantity")
    values = {name: row[name] for name in names}
    return ClaimedOrder(
        **values,  # type: ignore[arg-type]
        parameters={},
        request_id="r-1",
        rate=1,
        route_cost=1,
        below_cost=False,
        started_at=began,
    )


async def _waits_for_orders(line: Line) -> bool:
    async with line.pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                " and query like '%from orders%' and datname = current_database()"
            )
        )


async def test_a_record_in_doubt_is_made_once(shaky: tuple[Line, ChaosProxy]) -> None:
    line, proxy = shaky
    link = faulty()
    [number] = await line.place(link)
    order, at = await _claim_one(line)
    trap = proxy.trap(COMMITTED, Link.reset, toward=Toward.CLIENT)
    await line.sender.send(line.adapter, line.provider, order, at)
    assert trap.sprung == 1
    assert (await line.row(number))["state"] == OrderState.PLACED
    assert line.upstream_orders(link) == 1
    assert line.spool.entries(OUTCOME) == []
    await line.world.assert_sound()


@pytest.mark.parametrize("frozen", [False, True], ids=["sending", "unknown"])
async def test_an_answer_that_a_killed_process_could_not_record_is_recorded_by_the_next(
    shaky: tuple[Line, ChaosProxy], frozen: bool
) -> None:
    line, proxy = shaky
    [number] = await line.place(faulty())
    order, at = await _claim_one(line)
    proxy.refuse()
    proxy.cut()
    sending = asyncio.create_task(line.sender.send(line.adapter, line.provider, order, at))
    folder = line.panel.data_dir / "spool"
    await eventually(lambda: _is_written(folder))
    sending.cancel()
    await asyncio.wait([sending])
    await line.spool.close()  # which is all that is left of a process that was killed
    if frozen:
        async with line.pool.acquire() as conn:
            await conn.execute("update orders set next_at = now()")
        assert await freeze_forgotten(line.pool) == 1
    spool = Spool(folder)
    await Replays(line.pool, spool, Recorder(line.pool, DISPATCH, spool, {})).work()
    row = await line.row(number)
    [accepted] = line.panel.accepted()
    assert (row["state"], row["upstream_id"]) == (OrderState.PLACED, str(accepted["order"]))
    assert spool.entries(OUTCOME) == []
    await line.world.assert_sound()


async def _is_written(folder: Path) -> bool:
    return any(file.stat().st_size for file in folder.glob("*.jsonl"))


async def test_what_was_decided_meanwhile_is_not_decided_again(line: Line) -> None:
    [number] = await line.place(faulty())
    order, _ = await _claim_one(line)
    spool = line.spool
    exchange = Exchange(sent=True, elapsed_ms=1)
    late = spooled_outcome(line.provider, order, Ambiguous("no answer", exchange))
    spool.release(await spool.add(OUTCOME, late))
    recorder = Recorder(line.pool, DISPATCH, spool, {})
    await recorder.record(Ended(line.provider, order, Unavailable("proved", exchange)))
    await Replays(line.pool, spool, recorder).work()
    assert (await line.row(number))["state"] == OrderState.QUEUED
    assert await line.attempts(number) == [AttemptState.NOT_SENT]
    assert spool.entries(OUTCOME) == []
    await line.world.assert_sound()


async def test_an_answer_for_an_order_of_another_life_of_the_database_is_not_taken(
    line: Line,
) -> None:
    [number] = await line.place(faulty())
    order, _ = await _claim_one(line)
    earlier = replace(order, request_id="r-of-an-order-that-a-restore-has-undone")
    late = spooled_outcome(line.provider, earlier, Placed("77", Exchange(True, 1)))
    line.spool.release(await line.spool.add(OUTCOME, late))
    await Replays(line.pool, line.spool, Recorder(line.pool, DISPATCH, line.spool, {})).work()
    assert (await line.row(number))["state"] == OrderState.SENDING
    assert line.spool.entries(OUTCOME) == []
    [kept] = list_quarantined(line.spool.quarantine)
    assert kept.record["upstream_id"] == "77", "the proof is gone"


async def test_an_answer_from_before_a_restore_is_not_taken_for_an_attempt_of_the_same_number(
    line: Line,
) -> None:
    [number] = await line.place(faulty())
    order, _ = await _claim_one(line)
    # The order is of before the moment that the database went back to, this attempt is not.
    earlier = replace(order, started_at=order.started_at - timedelta(hours=1))
    recorder = Recorder(line.pool, DISPATCH, line.spool, {})
    refused = Rejected("bad link", RefusalGroup.ORDER, Exchange(True, 1))
    for outcome in (refused, Placed("77", Exchange(True, 1))):
        late = spooled_outcome(line.provider, earlier, outcome)
        line.spool.release(await line.spool.add(OUTCOME, late))
        await Replays(line.pool, line.spool, recorder).work()
        assert (await line.row(number))["state"] == OrderState.SENDING
        assert await line.attempts(number) == [AttemptState.INTENT]
    [kept] = list_quarantined(line.spool.quarantine)
    assert kept.record["upstream_id"] == "77"
    await recorder.record(Ended(line.provider, order, Placed("78", Exchange(True, 1))))
    assert (await line.row(number))["upstream_id"] == "78"
    await line.world.assert_sound()


#: A defect that keeps outcomes from being written down.
_DEFECT = """
    create function defect() returns trigger language plpgsql as
    $$ begin raise exception 'a defect'; end $$;
    create trigger defect before update on attempt execute function defect();
"""


@pytest.mark.parametrize("spooled", [False, True], ids=["at once", "from the spool"])
async def test_a_proof_that_a_defect_keeps_from_the_database_stays_on_disk_until_it_is_told(
    line: Line, spooled: bool
) -> None:
    [number] = await line.place(faulty())
    order, _ = await _claim_one(line)
    await line.pool.execute(_DEFECT)
    spool = line.spool
    recorder = Recorder(line.pool, DISPATCH, spool, {})
    placed = Placed("77", Exchange(sent=True, elapsed_ms=1))
    replays = Replays(line.pool, spool, recorder)
    if spooled:
        told = spooled_outcome(line.provider, order, placed)
        spool.release(await spool.add(OUTCOME, told))
    else:
        await recorder.record(Ended(line.provider, order, placed))
    await replays.work()
    assert spool.entries(OUTCOME) == []
    [kept] = list_quarantined(spool.quarantine)
    assert (kept.record["order_id"], kept.record["upstream_id"]) == (number, "77")
    assert SPOOL_QUARANTINED._value.get() == 1
    # The same version again changes nothing; the one that mends it tells it.
    await Replays(line.pool, spool, recorder).work()
    assert [one.path for one in list_quarantined(spool.quarantine)] == [kept.path]
    await line.pool.execute("drop function defect cascade")
    await Replays(line.pool, spool, recorder).work()
    assert (await line.row(number))["upstream_id"] == "77"
    assert list_quarantined(spool.quarantine) == []
    assert SPOOL_QUARANTINED._value.get() == 0
    await line.world.assert_sound()


_SEEN = Exchange(sent=True, elapsed_ms=12, status=200, body='{"order":7}')
_OUTCOMES: list[Outcome] = [
    Placed("7", _SEEN),
    Rejected("bad link", RefusalGroup.ORDER, _SEEN),
    Unavailable("no connection"),
    Withheld("too dear", elsewhere=True),
    Ambiguous("a reset", Exchange(sent=True, elapsed_ms=3)),
]


@pytest.mark.parametrize("outcome", _OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_an_outcome_is_read_as_it_was_written(line: Line, outcome: Outcome) -> None:
    await line.place(faulty())
    order, _ = await _claim_one(line)
    provider_id, again, read = read_outcome(spooled_outcome(line.provider, order, outcome))
    assert (provider_id, again.id, again.attempts) == (
        line.provider.id,
        order.id,
        order.attempts,
    )
    assert type(read) is type(outcome)
    assert read.exchange == outcome.exchange
    if isinstance(outcome, Placed):
        assert read == outcome
    else:
        assert str(read) == str(outcome)
        assert getattr(read, "group", None) == getattr(outcome, "group", None)
        assert getattr(read, "elsewhere", None) == getattr(outcome, "elsewhere", None)
