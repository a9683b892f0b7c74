"""Refills and settlements whose COMMIT gets no answer: done once, and nobody has to look."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.orders.cancellations import request_cancels
from gateway.orders.cancelling import Step
from gateway.orders.lifecycle import move
from gateway.orders.refills import Refiller, request_refills
from gateway.orders.settling import settle
from gateway.store.connection import Pool, open_pool
from schemas.orders import OrderState
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Link, Toward
from tests.orders.aftercare import NOW, Aftercare
from tests.orders.line import DISPATCH, TRACKING, Line, faulty


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[ChaosProxy]:
    """What stands between the database and what is tested."""
    async with ChaosProxy.before(database_url) as started:
        yield started


@pytest.fixture
async def behind(proxy: ChaosProxy, database_url: str) -> AsyncIterator[Pool]:
    """A pool behind the proxy."""
    pool = await open_pool(proxy.through(database_url), size=3)
    yield pool
    pool.terminate()


def _lose_the_answer(proxy: ChaosProxy, *, happened: bool) -> None:
    if happened:
        proxy.trap(COMMITTED, Link.cut, toward=Toward.CLIENT)
    else:
        proxy.trap(COMMIT, Link.cut)


_EITHER = pytest.mark.parametrize("happened", [True, False])


@_EITHER
async def test_a_settlement_in_doubt_pays_back_once(
    line: Line, proxy: ChaosProxy, behind: Pool, happened: bool
) -> None:
    [number] = await line.place(faulty())
    assert await line.spent() > 0
    _lose_the_answer(proxy, happened=happened)
    changes = await settle(
        behind,
        [number],
        lambda order: (
            move(order, OrderState.CANCELED, "test", refund_target=order.charge, next_in=None)
            if order.state is OrderState.QUEUED
            else None
        ),
    )
    assert len(changes) == (0 if happened else 1)
    assert (await line.row(number))["state"] == OrderState.CANCELED
    assert await line.spent() == 0
    assert [trap.sprung for trap in proxy.traps] == [1]
    await line.world.assert_sound()


@_EITHER
async def test_a_request_for_a_refill_in_doubt_is_told_the_refill_that_was_made(
    line: Line, proxy: ChaosProxy, behind: Pool, happened: bool
) -> None:
    care = Aftercare(line)
    [order] = await care.completed(faulty())
    _lose_the_answer(proxy, happened=happened)
    requested = await request_refills(behind, line.customer.id, [order], NOW)
    assert requested.refused == {}
    assert [dict(row) for row in await line.pool.fetch("select id, order_id from refill")] == [
        {"id": requested.made[order], "order_id": order}
    ]
    assert requested.provider_ids == {line.provider.id}
    assert [trap.sprung for trap in proxy.traps] == [1]
    await line.world.assert_sound()


@_EITHER
async def test_a_cancellation_in_doubt_is_told_what_was_done(
    line: Line, proxy: ChaosProxy, behind: Pool, happened: bool
) -> None:
    [runs] = await line.placed(faulty(name="runs"))
    [waits] = await line.place(faulty(name="waits"))
    _lose_the_answer(proxy, happened=happened)
    requests = await request_cancels(behind, line.customer.id, [runs, waits, 7_777_777])
    assert requests.steps == {runs: Step.STORED, waits: Step.AT_ONCE}
    assert [*requests.refused] == [7_777_777]
    assert line.provider.id in requests.provider_ids
    assert (await line.row(waits))["state"] == OrderState.CANCELED
    assert await line.pool.fetchval("select count(*) from cancellation") == 2
    assert [trap.sprung for trap in proxy.traps] == [1]
    await line.world.assert_sound()


@_EITHER
async def test_a_refill_whose_claim_is_in_doubt_is_sent_later_and_once(
    line: Line, proxy: ChaosProxy, behind: Pool, happened: bool
) -> None:
    care = Aftercare(line)
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    refiller = Refiller(behind, DISPATCH, TRACKING, time.monotonic)
    _lose_the_answer(proxy, happened=happened)
    assert await refiller.claim(line.provider) is None
    assert await care.state(refill) == "requested"
    assert await care.calls("refill") == 0
    await care.send()
    assert await care.state(refill) == "placed"
    assert await care.calls("refill") == 1


async def test_a_refill_that_somebody_else_has_claimed_meanwhile_is_not_put_back(
    line: Line,
) -> None:
    care = Aftercare(line)
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    claimed = await care.refiller.claim(line.provider)
    assert claimed is not None
    # As if the claim of ours had been rolled back: theirs has the same number of tries.
    await line.pool.execute(
        "update refill set updated_at = updated_at + $1", timedelta(milliseconds=1)
    )
    await care.refiller._give_back(*claimed)
    assert await care.state(refill) == "sending"
