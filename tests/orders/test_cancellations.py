"""Cancellations against a real panel: one refund or none, and never for what may run upstream."""

import asyncio
import random

import pytest

from gateway.orders.cancellations import request_cancels, settle_stored_cancels
from gateway.orders.cancelling import MOST_TRIES, Step
from gateway.orders.dispatch import freeze_forgotten
from schemas import panel_v2 as wire
from schemas.orders import OrderState
from tests.orders.aftercare import Aftercare
from tests.orders.fates import CHARGE
from tests.orders.line import Line, faulty
from tests.world import BY_TEST


@pytest.fixture
def care(line: Line) -> Aftercare:
    """Refills and cancellations on the line."""
    return Aftercare(line)


async def test_a_queued_order_is_canceled_at_once_with_its_whole_refund(care: Aftercare) -> None:
    line, link = care.line, faulty()
    [order] = await line.place(link)
    done = await care.cancel(order)
    assert (done.steps, done.refused) == ({order: Step.AT_ONCE}, {})
    assert await line.told(order) == ("Canceled", 0, 1000)
    assert await line.spent() == 0
    assert await line.send() == []
    assert line.upstream_requests(link) == 0
    assert (await care.cancel(order)).refused == {order: wire.CANCEL_UNAVAILABLE}
    assert await line.history(order) == ["canceled_by_reseller"]
    await line.world.assert_sound()


async def test_parallel_requests_for_a_queued_order_refund_once(care: Aftercare) -> None:
    [order] = await care.line.place(faulty())
    done = await asyncio.gather(*(care.cancel(order) for _ in range(100)))
    assert sum(one.steps == {order: Step.AT_ONCE} for one in done) == 1
    assert await care.line.spent() == 0
    refunds = await care.line.pool.fetchval("select count(*) from entry where cause = 'refund'")
    assert refunds == 1
    await care.line.world.assert_sound()


async def test_an_order_is_either_claimed_or_canceled_whoever_comes_first(
    care: Aftercare,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, line = random.Random(seed), care.line
    links = [faulty(name=str(n)) for n in range(60)]
    made = dict(zip(await line.place(*links), links, strict=True))
    canceled: set[int] = set()

    async def stop(order: int) -> None:
        await asyncio.sleep(chance.random() / 5)
        canceled.update((await care.cancel(order)).steps)

    async def claim() -> None:
        await asyncio.sleep(chance.random() / 5)
        await line.send(limit=chance.randint(1, 6))

    await asyncio.gather(*(stop(order) for order in made), *(claim() for _ in range(20)))
    assert canceled == set(made)
    for order, row in (await line.rows()).items():
        sent = row["state"] == OrderState.PLACED
        assert sent or row["state"] == OrderState.CANCELED
        assert line.upstream_requests(made[order]) == sent
        assert row["refunded"] == (0 if sent else CHARGE)
    await care.ask()
    await line.poll()
    assert {row["state"] for row in (await line.rows()).values()} == {OrderState.CANCELED}
    assert await line.spent() == 0
    await line.world.assert_sound()


@pytest.mark.parametrize("fault", ["no-funds", "too-many"])
async def test_an_order_that_comes_back_to_the_queue_is_canceled_instead_of_sent(
    care: Aftercare, fault: str
) -> None:
    line, link = care.line, faulty(fault)
    [order] = await line.place(link)
    claim = await line.sender.claim(line.provider, 1)
    assert (await care.cancel(order)).steps == {order: Step.STORED}
    assert (await care.cancel(order)).refused == {order: wire.CANCEL_REQUESTED}
    await line.sender.send(line.adapter, line.provider, claim.orders[0], claim.at)
    assert (await line.row(order))["state"] == OrderState.QUEUED
    await line.pool.execute("update orders set next_at = now()")
    assert await line.send() == []
    assert line.upstream_requests(link) == 1
    assert await settle_stored_cancels(line.pool) == 1
    assert await settle_stored_cancels(line.pool) == 0
    assert (await line.row(order))["state"] == OrderState.CANCELED
    assert await care.cancel_state(order) == "taken"
    assert await line.spent() == 0
    assert line.upstream_requests(link) == 1
    await line.world.assert_sound()


async def test_an_order_in_doubt_is_not_refunded_and_the_request_acts_once_it_is_placed(
    care: Aftercare,
) -> None:
    line = care.line
    [order] = await line.place(faulty())
    claim = await line.sender.claim(line.provider, 1)
    await line.pool.execute("update orders set next_at = now()")
    await freeze_forgotten(line.pool)
    assert (await care.cancel(order)).steps == {order: Step.STORED}
    assert await care.ask() == 0
    assert await settle_stored_cancels(line.pool) == 0
    assert (await line.row(order))["state"] == OrderState.UNKNOWN
    assert await line.spent() == CHARGE
    await line.sender.send(line.adapter, line.provider, claim.orders[0], claim.at)
    assert await care.ask() == 1
    await line.poll()
    assert (await line.row(order))["state"] == OrderState.CANCELED
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_money_moves_only_when_the_upstream_reports_the_end(care: Aftercare) -> None:
    line = care.line
    untouched, begun = await line.placed(faulty(name="1"), faulty(name="2"))
    upstream = int((await line.row(begun))["upstream_id"])
    await line.panel.control(
        "order", {"order": upstream, "status": "In progress", "remains": 250, "start_count": 9}
    )
    assert (await care.cancel(untouched, begun)).refused == {}
    assert await line.spent() == 2 * CHARGE
    assert await care.ask() == 2
    assert await care.calls("cancel") == 1
    assert [await care.cancel_state(order) for order in (untouched, begun)] == ["taken"] * 2
    assert await line.spent() == 2 * CHARGE
    assert (await care.cancel(begun)).refused == {begun: wire.CANCEL_REQUESTED}
    due = await line.pool.fetchval("select count(*) from orders where next_at <= now()")
    assert due == 2
    await line.poll()
    rows = await line.rows()
    assert rows[untouched]["state"] == OrderState.CANCELED
    assert (rows[begun]["state"], rows[begun]["refunded"]) == (OrderState.PARTIAL, CHARGE // 4)
    assert await line.spent() == CHARGE - CHARGE // 4
    assert (await care.cancel(begun)).refused == {begun: wire.CANCEL_UNAVAILABLE}
    assert await line.spent() == CHARGE - CHARGE // 4
    await line.world.assert_sound()


async def test_what_was_delivered_but_not_yet_heard_of_is_not_refunded(care: Aftercare) -> None:
    line = care.line
    [order] = await line.placed(faulty())
    await line.panel.control("advance", {"work": 1})
    assert (await care.cancel(order)).steps == {order: Step.STORED}
    await care.ask()
    assert await care.cancel_state(order) == "refused"
    await line.poll()
    assert await line.told(order) == ("Completed", CHARGE, 0)
    assert await line.spent() == CHARGE
    await line.world.assert_sound()


async def test_a_refusal_is_kept_and_the_reseller_may_ask_again(care: Aftercare) -> None:
    line = care.line
    [order] = await line.placed(faulty())
    await care.cancel(order)
    await care.fail("cancel", "refuse:It has just begun")
    await care.ask()
    reason = await line.pool.fetchval("select reason from cancellation")
    assert (await care.cancel_state(order), reason) == ("refused", "It has just begun")
    assert await care.ask() == 0
    assert (await care.cancel(order)).steps == {order: Step.STORED}
    await care.ask()
    await line.poll()
    assert (await line.row(order))["state"] == OrderState.CANCELED


@pytest.mark.parametrize("fault", ["reset-after", "html-before", "too-many", "body-before:[]"])
async def test_an_unclear_answer_is_asked_for_again(care: Aftercare, fault: str) -> None:
    line = care.line
    [order] = await line.placed(faulty())
    await care.cancel(order)
    await care.fail("cancel", fault)
    assert await care.ask() == 1
    assert await care.cancel_state(order) == "requested"
    assert await line.spent() == CHARGE
    await care.ask()
    await line.poll()
    assert (await line.row(order))["state"] == OrderState.CANCELED
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_an_upstream_that_never_answers_clearly_is_not_asked_for_ever(
    care: Aftercare,
) -> None:
    [order] = await care.line.placed(faulty())
    await care.cancel(order)
    await care.fail("cancel", "empty-before", times=MOST_TRIES + 1)
    for _ in range(MOST_TRIES):
        assert await care.ask() == 1
    assert await care.ask() == 0
    assert await care.cancel_state(order) == "refused"
    assert await care.calls("cancel") == MOST_TRIES
    assert (await care.cancel(order)).steps == {order: Step.STORED}


async def test_a_request_for_an_order_that_ended_meanwhile_is_over(care: Aftercare) -> None:
    line = care.line
    [order] = await line.placed(faulty())
    await care.cancel(order)
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    assert await settle_stored_cancels(line.pool) == 1
    assert await care.cancel_state(order) == "over"
    assert await care.ask() == 0
    assert await line.spent() == CHARGE
    await line.world.assert_sound()


async def test_an_operator_cancels_what_a_reseller_could_not(care: Aftercare) -> None:
    line = care.line
    [order] = await line.place(faulty(), upstream="122")
    assert (await care.cancel(order)).refused == {order: wire.CANCEL_UNAVAILABLE}
    done = await request_cancels(line.pool, BY_TEST, [order])
    assert done.steps == {order: Step.AT_ONCE}
    assert await line.history(order) == ["canceled_by_operator"]
    assert await line.spent() == 0
