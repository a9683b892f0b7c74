"""What operators do to orders: each once, with its money, never where something may run twice."""

import random
from typing import Any
from uuid import uuid4

import pytest

from gateway.errors import UserError
from gateway.operators.acting import AlreadyDone
from gateway.orders import operator_acts
from gateway.orders.bulk import find_orders, run_bulk
from gateway.orders.operator_acts import act_on_order, add_note, effect_of
from gateway.orders.operator_moves import resent
from gateway.orders.resolving import Case
from gateway.store import operator_actions
from gateway.store.connection import CommitInDoubt, transaction
from schemas.doubts import Decision, TriedAttempt
from schemas.operators import Actor, Role, Subject, Warrant
from schemas.order_search import OrderFilter
from schemas.order_work import Deed, Effect, OrderAction, Result, SeenOrder
from schemas.orders import AttemptState, OrderState
from tests.orders.fates import CHARGE
from tests.orders.line import Line, faulty
from tests.orders.making import an_order
from tests.world import BY_TEST

_MS = 3_600_000
REFUND_ALL = Deed(OrderAction.REFUND)
RESEND = Deed(OrderAction.RESEND)
CANCEL = Deed(OrderAction.CANCEL)


async def _ended(line: Line, *links: str) -> list[int]:
    """Orders that were delivered in whole, as their upstream says."""
    made = await line.placed(*links)
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    assert {(await line.row(order))["state"] for order in made} == {OrderState.COMPLETED}
    return made


async def _do(line: Line, order: int, deed: Deed, warrant: Warrant = BY_TEST) -> Effect:
    return await act_on_order(line.pool, order, deed, warrant, correction_ms=_MS)


async def test_a_partial_refund_pays_what_was_not_delivered_once(line: Line) -> None:
    [order] = await _ended(line, faulty())
    part = Deed(OrderAction.REFUND, remains=250)
    shown = await effect_of(line.pool, order, part, None, correction_ms=_MS)
    assert await line.spent() == CHARGE
    done = await _do(line, order, part)
    assert (done.result, done.after, done.refund) == (Result.DONE, OrderState.PARTIAL, CHARGE // 4)
    assert shown == done
    assert await line.spent() == CHARGE - CHARGE // 4
    assert (await _do(line, order, part)).result is Result.UNCHANGED
    # Less was owed before than is now: only the difference is paid, and never above the charge.
    assert (await _do(line, order, REFUND_ALL)).refund == CHARGE - CHARGE // 4
    assert (await _do(line, order, REFUND_ALL)).result is Result.UNCHANGED
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_orders_that_run_are_not_refunded_or_sent_again(line: Line) -> None:
    [order] = await line.placed(faulty())
    for deed in (REFUND_ALL, RESEND):
        with pytest.raises(UserError, match="is placed"):
            await _do(line, order, deed)
    assert await line.spent() == CHARGE


async def test_an_order_in_doubt_is_not_sent_again_without_proof(line: Line) -> None:
    link = faulty("reset-after")
    [order] = await line.place(link)
    await line.send()
    assert (await line.row(order))["state"] == OrderState.UNKNOWN
    with pytest.raises(UserError, match="may run at its upstream"):
        await _do(line, order, RESEND)
    assert line.upstream_orders(link) == 1
    await line.world.assert_sound()


@pytest.mark.parametrize("state", [OrderState.UNKNOWN, OrderState.REVIEW])
def test_an_order_that_was_in_doubt_is_not_sent_again_whatever_its_attempts_prove(
    state: OrderState,
) -> None:
    # As after `active_link_after_doubt`: the link is busy because of the attempt called absent.
    tried = [
        TriedAttempt(1, 1, "1", AttemptState.NOT_SENT, None),
        TriedAttempt(2, 1, "1", AttemptState.REJECTED, None),
    ]
    with pytest.raises(UserError, match="may run at its upstream"):
        resent(Case(an_order(state, upstream_id=None), tried))


async def test_an_order_that_waits_is_sent_at_once(line: Line) -> None:
    [order] = await line.place(faulty())
    async with line.pool.acquire() as conn:
        await conn.execute("update orders set next_at = now() + interval '1 hour'")
    assert await line.send() == []
    await _do(line, order, RESEND)
    assert len(await line.send()) == 1
    assert (await line.row(order))["state"] == OrderState.PLACED


async def test_what_is_done_stands_in_the_log_of_its_order(line: Line) -> None:
    [order] = await line.place(faulty())
    await add_note(line.pool, order, BY_TEST)
    await _do(line, order, CANCEL)
    with pytest.raises(UserError, match="say why"):
        await _do(line, order, CANCEL, Warrant(Actor("tests", Role.OWNER)))
    with pytest.raises(UserError, match="no order 999"):
        await add_note(line.pool, 999, BY_TEST)
    async with line.pool.acquire() as conn:
        acts = await operator_actions.list_actions(conn, subject=Subject("order", str(order)))
    assert [(act.action, act.reason) for act in acts] == [
        ("order.canceled", BY_TEST.reason),
        ("order.noted", BY_TEST.reason),
    ]


async def test_a_request_for_a_refund_acts_once(line: Line) -> None:
    [order] = await _ended(line, faulty())
    once = Warrant(BY_TEST.actor, "half of it", str(uuid4()))
    await _do(line, order, Deed(OrderAction.REFUND, remains=500), once)
    with pytest.raises(AlreadyDone):
        await _do(line, order, Deed(OrderAction.REFUND, remains=600), once)
    assert await line.spent() == CHARGE // 2


async def test_a_bulk_does_what_it_has_shown_and_nothing_twice(line: Line) -> None:
    waiting = await line.place(*(faulty(name=f"w{n}") for n in range(3)))
    await line.send(1)
    wanted = OrderFilter(reseller=line.customer.name)
    found = await find_orders(line.pool, wanted)
    assert found == [(waiting[0], 1), *((order, 0) for order in waiting[1:])]
    shown = await run_bulk(line.pool, found, CANCEL, None, correction_ms=_MS)
    assert (shown.refund, await line.spent()) == (2 * CHARGE, 3 * CHARGE)
    told: list[int] = []
    warrant = Warrant(BY_TEST.actor, "a mistake", "bulk-1")
    done = await run_bulk(line.pool, found, CANCEL, warrant, correction_ms=_MS, tell=told.append)
    assert done == shown
    assert told == [1, 2, 3]
    assert done.numbers == {Result.DONE: 2, Result.ASKED: 1}
    again = await run_bulk(line.pool, found, CANCEL, warrant, correction_ms=_MS)
    assert again == done, "what the same request did before is told as it was done"
    assert await line.spent() == CHARGE
    await line.world.assert_sound()


@pytest.mark.parametrize("deed", [CANCEL, REFUND_ALL, Deed(OrderAction.RESOLVE, Decision.CANCELED)])
async def test_an_act_whose_commit_got_no_answer_is_told_as_it_was_done(
    line: Line, deed: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    match deed.action:
        case OrderAction.CANCEL:
            [order] = await line.place(faulty())
        case OrderAction.REFUND:
            [order] = await _ended(line, faulty())
        case _:
            [order] = await line.place(faulty("reset-after"))
            await line.send()
    real = operator_acts.act_on_order
    lost: list[Effect] = []

    async def unanswered(*args: Any, **named: Any) -> Effect:
        effect = await real(*args, **named)
        if not lost:
            lost.append(effect)
            raise CommitInDoubt
        return effect

    monkeypatch.setattr(operator_acts, "act_on_order", unanswered)
    effect = await effect_of(line.pool, order, deed, BY_TEST, correction_ms=_MS)
    assert [effect] == lost
    assert (effect.result, effect.refund, await line.spent()) == (Result.DONE, CHARGE, 0)
    await line.world.assert_sound()


async def test_an_order_that_is_in_use_ends_no_bulk(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, free = await line.place(faulty(name="held"), faulty(name="free"))
    monkeypatch.setattr(operator_acts, "_PAUSES", (0,))
    async with line.pool.acquire() as conn, transaction(conn):
        await conn.execute("select from orders where id = $1 for update", held)
        seen = [SeenOrder(held, 0), SeenOrder(free, 0)]
        done = await run_bulk(line.pool, seen, CANCEL, BY_TEST, correction_ms=_MS)
    assert done.numbers == {Result.REFUSED: 1, Result.DONE: 1}
    assert "in use" in (done.effects[0].why or "")
    assert await line.spent() == CHARGE
    await line.world.assert_sound()


async def test_a_bulk_of_resolutions_pays_each_back(line: Line) -> None:
    made = await line.place(*(faulty("reset-after", name=f"d{n}") for n in range(2)))
    await line.send()
    deed = Deed(OrderAction.RESOLVE, Decision.CANCELED)
    found = await find_orders(line.pool, OrderFilter(states=(OrderState.UNKNOWN,)))
    assert found == [(order, 1) for order in made]
    shown = await run_bulk(line.pool, found, deed, None, correction_ms=_MS)
    done = await run_bulk(line.pool, found, deed, BY_TEST, correction_ms=_MS)
    assert shown == done
    assert (done.refund, await line.spent()) == (2 * CHARGE, 0)
    await line.world.assert_sound()


async def test_a_bulk_decides_about_no_attempt_that_was_not_seen(line: Line) -> None:
    [order] = await line.place(faulty("reset-after"))
    await line.send()
    seen = await find_orders(line.pool, OrderFilter(states=(OrderState.UNKNOWN,)))
    await _do(line, order, Deed(OrderAction.RESOLVE, Decision.NOT_PLACED))
    await line.send()
    assert (await line.row(order))["state"] == OrderState.UNKNOWN
    for decision in (Decision.CANCELED, Decision.NOT_PLACED):
        deed = Deed(OrderAction.RESOLVE, decision)
        for warrant in (None, BY_TEST):
            done = await run_bulk(line.pool, seen, deed, warrant, correction_ms=_MS)
            [effect] = done.effects
            assert effect.result is Result.REFUSED
            assert "it was sent again since: look again" in str(effect.why)
    assert await line.spent() == CHARGE
    await line.world.assert_sound()


async def test_a_bulk_needs_a_filter(line: Line) -> None:
    with pytest.raises(UserError, match="at least one filter"):
        await find_orders(line.pool, OrderFilter())


async def test_in_any_order_of_deeds_no_more_is_paid_back_than_was_paid(line: Line) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    orders = await _ended(line, *(faulty(name=f"o{n}") for n in range(3)))
    deeds = [REFUND_ALL, RESEND, CANCEL, *(Deed(OrderAction.REFUND, remains=n) for n in (1, 999))]
    deeds += [Deed(OrderAction.RESOLVE, Decision.COMPLETED), Deed(OrderAction.REFUND, remains=1000)]
    for _ in range(20):
        order, deed = chance.choice(orders), chance.choice(deeds)
        shown = await effect_of(line.pool, order, deed, None, correction_ms=_MS)
        before = await line.spent()
        done = await effect_of(line.pool, order, deed, BY_TEST, correction_ms=_MS)
        assert done.refund == before - await line.spent(), (deed, done)
        assert shown.refund == done.refund
    await line.world.assert_sound()
