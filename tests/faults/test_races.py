"""Pairs of deeds on one order or balance, in either order, with real row locks: C06, C13, C14.

What both need is locked by a third; they queue up for it, and go on one after the other. Each pair
ends with the right money, whoever was first.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations, product
from random import Random
from typing import Any

import pytest

from gateway.orders.cancellations import request_cancels, settle_stored_cancels
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.drafting import Draft, draft_order
from gateway.orders.earlier import Accepted
from gateway.orders.intake import Intake
from gateway.orders.receipts import Receipts
from gateway.orders.schedules import Schedules
from gateway.orders.tracking import Tracker
from schemas.orders import OrderState
from tests.faults.gates import Deed, GatedPanel, queue_up
from tests.orders.line import TRACKING, Line, faulty, open_line
from tests.orders.test_drip_feed import drip, look
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, Customer, World

#: ``RACES=1000`` makes a longer run.
RACES = int(os.environ.get("RACES", "2"))
CHARGE = 1_050_000  # a thousand at 0.84 and a markup of a quarter


@pytest.fixture
async def line(world: World, sandbox: SandboxProcess) -> AsyncIterator[Line]:
    """From a reseller with 1,000.00 to the sandbox; nothing runs by itself."""
    async with open_line(world, sandbox) as opened:
        yield opened


def _lock(number: int) -> str:
    return f"select from orders where id = {number} for no key update"


async def _due(line: Line) -> None:
    async with line.pool.acquire() as conn:
        await conn.execute("update orders set next_at = now() where next_at < 'infinity'")


async def _settle(line: Line) -> None:
    """Let everything that is still to be done be done, twice, in case the first was too early."""
    for _ in range(2):
        await settle_stored_cancels(line.pool)
        await line.send()
        await line.panel.control("advance", {"work": 1})
        await line.poll()
        await settle_stored_cancels(line.pool)


async def _assert_right(line: Line, number: int) -> None:
    """The order has ended, the reseller has paid for what was delivered, and all books agree."""
    row = await line.row(number)
    paid = {OrderState.COMPLETED: CHARGE, OrderState.PARTIAL: row["charge"] - row["refunded"]}
    owed = row["charge"] - paid.get(row["state"], 0)
    frozen = row["state"] in (OrderState.UNKNOWN, OrderState.REVIEW)
    assert row["refunded"] == (0 if frozen else owed), dict(row)
    assert row["state"] not in (OrderState.QUEUED, OrderState.SENDING), dict(row)
    await line.world.assert_sound()


_ANSWERS = ("", "refuse", "too-many", "reset-before", "reset-after")


async def test_a_cancellation_meets_the_answer_of_the_panel(line: Line) -> None:
    for race, (fate, canceled_first) in enumerate(product(_ANSWERS, (False, True))):
        for again in range(RACES):
            link = faulty(*([fate] if fate else []), name=f"{race}-{again}")
            await _cancel_at_the_answer(line, link, canceled_first=canceled_first)
            assert line.upstream_orders(link) == (fate in ("", "reset-after"))


async def _cancel_at_the_answer(line: Line, link: str, *, canceled_first: bool) -> None:
    [number] = await line.place(link)
    claim = await line.sender.claim(line.provider, 1)
    panel: Any = GatedPanel(line.adapter)
    sending = asyncio.ensure_future(
        line.sender.send(panel, line.provider, claim.orders[0], line.sender_clock())
    )
    await panel.arrived.wait()

    async def record() -> None:
        panel.gate.set()
        await sending  # whose value may be a refusal

    async def cancel() -> object:
        return await request_cancels(line.pool, line.customer.id, [number])

    deeds: list[Deed] = [cancel, record] if canceled_first else [record, cancel]
    outcomes = await queue_up(line.pool, _lock(number), deeds)
    assert not [o for o in outcomes if isinstance(o, Exception)], outcomes
    await _settle(line)
    await _assert_right(line, number)


async def test_a_cancellation_and_two_polls_meet_at_the_end_of_an_order(line: Line) -> None:
    owed = {"": 0, "partial:40": CHARGE * 40 // 100, "cancel": CHARGE}
    for race, (fate, order) in enumerate(product(owed, permutations(range(3)))):
        [number] = await line.placed(faulty(*([fate] if fate else []), name=f"{race}"))
        await line.panel.control("advance", {"work": 1})

        async def cancel(number: int = number) -> object:
            return await request_cancels(line.pool, line.customer.id, [number])

        await _due(line)
        deeds: list[Deed] = [cancel, await _claimed(line, number), await _claimed(line, number)]
        await queue_up(line.pool, _lock(number), [deeds[place] for place in order])
        await _settle(line)
        await _assert_right(line, number)
        assert (await line.row(number))["refunded"] == owed[fate]


async def _claimed(line: Line, number: int) -> Deed:
    """A poll that has its answer and is about to write what it makes of the order."""
    tracker = Tracker(line.pool, TRACKING, asyncio.get_running_loop().time)
    [due] = [o for o in await tracker._claim(line.provider, 1000) if o.id == number]
    heard = await line.adapter.status([due.upstream_id])
    await _due(line)
    return lambda: tracker._apply([due], heard)


@pytest.mark.parametrize("first_is_larger", [False, True])
async def test_two_partial_reports_pay_the_larger_one_once(
    line: Line, first_is_larger: bool
) -> None:
    """A report that was read before a correction may be written after it."""
    [number] = await line.placed(faulty("partial:30", name=f"{first_is_larger}"))
    await line.panel.control("advance", {"work": 1})
    upstream = int((await line.row(number))["upstream_id"])
    await _due(line)
    smaller = await _claimed(line, number)
    await line.panel.control("order", {"order": upstream, "status": "Partial", "remains": 700})
    larger = await _claimed(line, number)
    deeds = [larger, smaller] if first_is_larger else [smaller, larger]
    outcomes = await queue_up(line.pool, _lock(number), deeds)
    assert not [o for o in outcomes if isinstance(o, Exception)], outcomes
    assert (await line.row(number))["refunded"] == CHARGE * 70 // 100
    await line.world.assert_sound()


async def test_operators_and_the_reseller_cancel_one_order_at_once(line: Line) -> None:
    for race, callers in enumerate(set(permutations((None, None, line.customer.id)))):
        [number] = await line.place(f"https://example.com/{race}")
        deeds = [_cancels(line, who, number) for who in callers]
        await queue_up(line.pool, _lock(number), deeds)
        row = await line.row(number)
        assert (row["state"], row["refunded"]) == (OrderState.CANCELED, CHARGE)
    assert await line.spent() == 0
    await line.world.assert_sound()


def _cancels(line: Line, who: int | None, number: int) -> Deed:
    return lambda: request_cancels(line.pool, BY_TEST if who is None else who, [number])


@pytest.mark.parametrize("swept_first", [False, True])
async def test_a_late_answer_meets_the_sweep(line: Line, swept_first: bool) -> None:
    [number] = await line.place(f"https://example.com/{swept_first}")
    claim = await line.sender.claim(line.provider, 1)
    panel: Any = GatedPanel(line.adapter)
    sending = asyncio.ensure_future(
        line.sender.send(panel, line.provider, claim.orders[0], line.sender_clock())
    )
    await panel.arrived.wait()
    await _due(line)
    if swept_first:
        assert await freeze_forgotten(line.pool) == 1
    panel.gate.set()
    await sending
    assert await freeze_forgotten(line.pool) == 0
    assert (await line.row(number))["state"] == OrderState.PLACED
    await line.world.assert_sound()


async def test_senders_that_share_a_few_orders_send_each_once(line: Line) -> None:
    """C11: sixteen senders, ten orders, again and again."""
    for turn in range(RACES):
        links = [f"https://example.com/{turn}-{number}" for number in range(10)]
        await line.place(*links)
        await asyncio.gather(*(line.send(3) for _ in range(16)))
        await line.send()
    accepted = [record["link"] for record in line.panel.accepted()]
    assert len(accepted) == len(set(accepted)) == 10 * RACES
    await line.world.assert_sound()


async def test_mixed_cancellations_never_wait_in_a_ring(line: Line) -> None:
    """Requests that name the same drip-feeds and orders in different orders (C13)."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = Random(seed)
    for turn in range(RACES):
        parents = [await drip(line, f"https://example.com/{turn}-{n}") for n in range(3)]
        await look(line, hours=1)
        ordinary = await line.place(*(f"https://example.com/o{turn}-{n}" for n in range(3)))
        numbers = [*parents, *ordinary]
        schedules = Schedules(line.pool, lambda _: None)
        await _due(line)
        outcomes = await asyncio.gather(
            *(
                request_cancels(line.pool, line.customer.id, chance.sample(numbers, 4))
                for _ in range(5)
            ),
            schedules.advance(),
            line.send(2),
            settle_stored_cancels(line.pool),
            return_exceptions=True,
        )
        assert not [o for o in outcomes if isinstance(o, BaseException)], outcomes
    await line.world.assert_sound()


@pytest.mark.parametrize("twins", [2, 8])
async def test_twins_of_the_last_funds_are_one_order_and_nobody_is_refused(
    line: Line, twins: int
) -> None:
    """C06: several processes hold the same named order while the balance pays for one."""
    customer = await line.world.reseller("twin", funds="1.05")
    intakes = [
        Intake(line.pool, line.catalogue, lambda _: None, Receipts(), line.spool, largest=250)
        for _ in range(twins)
    ]
    draft = _named(line, customer)
    deeds: list[Deed] = [_submits(intake, draft) for intake in intakes]
    lock = f"select from balance where reseller_id = {customer.id} for update"
    answers = await queue_up(line.pool, lock, deeds)
    placed = [answer for answer in answers if isinstance(answer, Accepted)]
    assert len(placed) == twins, answers
    assert len({answer.order_id for answer in placed}) == 1
    assert [answer.repeated for answer in placed].count(False) == 1
    assert await line.world.balance(customer) == 0
    await line.world.assert_sound()


def _submits(intake: Intake, draft: Draft) -> Deed:
    return lambda: intake.submit(draft)


def _named(line: Line, customer: Customer) -> Draft:
    services = line.catalogue.current.services.values()
    service = next(s for s in services if s.routes[0].upstream_service == "101")
    draft = draft_order(
        service,
        {"link": "https://example.com/twin", "quantity": "1000"},
        reseller_id=customer.id,
        currency="USD",
        request_id="r-twin",
    )
    return replace(draft, external_id="the-one")
