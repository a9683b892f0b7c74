"""Drip-feed over a real panel: each run an order, made once, and every refund exact."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.orders.cancellations import CancelRequests, request_cancels
from gateway.orders.cancelling import Step
from gateway.orders.drafting import draft_order
from gateway.orders.operator_acts import effect_of
from gateway.orders.schedules import Schedules
from schemas.money import charge_of
from schemas.order_work import Deed, OrderAction, Result
from schemas.orders import AttemptState, OrderState
from schemas.panel_v2 import CANCEL_REQUESTED, CANCEL_UNAVAILABLE, REFILL_DISABLED, PanelError
from tests.conftest import OpenGateway, eventually
from tests.orders.aftercare import Aftercare
from tests.orders.line import Line, faulty
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, World

RATE = 1_050_000  # 0.84 and a markup of a quarter
EACH = 100
SHARE = RATE * EACH // 1000


async def drip(
    line: Line,
    link: str = "https://example.com/x",
    *,
    runs: int = 3,
    rate: int = RATE,
    interval: int = 60,
    name: str | None = None,
) -> int:
    """An accepted drip-feed of runs of a hundred pieces, one an hour."""
    services = line.catalogue.current.services.values()
    service = next(s for s in services if s.routes[0].upstream_service == "101")
    draft = draft_order(
        service,
        {"link": link, "quantity": str(EACH)},
        reseller_id=line.customer.id,
        currency="USD",
        request_id="r-drip",
    )
    total = EACH * runs
    whole = replace(
        draft,
        service=replace(service, below_cost=rate < RATE),
        quantity=total,
        charge=charge_of(rate, total),
        runs=runs,
        interval=interval,
    )
    return (await line.intake.submit(replace(whole, external_id=name))).order_id


async def look(line: Line, *, hours: int = 0) -> None:
    """Look at all parents, ``hours`` later by the database's clock."""
    back = f"- interval '{hours} hours'"
    async with line.pool.acquire() as conn:
        await conn.execute(f"update schedule set next_run_at = next_run_at {back}")
        await conn.execute("update orders set next_at = now() where state = 'scheduled'")
    await Schedules(line.pool, lambda _: None).advance()


async def runs_of(line: Line, parent: int) -> list[Mapping[str, Any]]:
    """The runs that exist, as they are stored."""
    async with line.pool.acquire() as conn:
        rows = await conn.fetch(
            "select o.* from run r join orders o on o.id = r.order_id"
            " where r.parent_id = $1 order by r.number",
            parent,
        )
    return [dict(row) for row in rows]


async def deliver(line: Line) -> None:
    """Send what waits, and have the panel end it and tell so."""
    await line.send()
    await line.panel.control("advance", {"work": 1})
    await line.poll()


async def run_all(line: Line, parent: int, *, runs: int = 3) -> None:
    """All runs, each made when it is due and delivered as its link says."""
    for _ in range(runs):
        await look(line, hours=1)
        await deliver(line)
    await look(line)


async def cancel(line: Line, *orders: int) -> CancelRequests:
    """The reseller asks to cancel."""
    return await request_cancels(line.pool, line.customer.id, orders)


async def test_a_drip_feed_is_delivered_in_runs_and_charged_once(line: Line) -> None:
    parent = await drip(line)
    assert await line.told(parent) == ("Pending", 3 * SHARE, 300)
    told = []
    for _ in range(3):
        await look(line, hours=1)
        await deliver(line)
        await look(line)
        told.append(await line.told(parent))
    assert told == [
        ("In progress", 3 * SHARE, 200),
        ("In progress", 3 * SHARE, 100),
        ("Completed", 3 * SHARE, 0),
    ]
    runs = await runs_of(line, parent)
    assert [(r["quantity"], r["charge"], r["state"]) for r in runs] == [
        (EACH, SHARE, OrderState.COMPLETED)
    ] * 3
    assert [record["quantity"] for record in line.panel.accepted()] == [EACH] * 3
    assert await line.spent() == 3 * SHARE
    assert await line.history(parent) == ["runs_ended"]
    await line.world.assert_sound()


async def test_a_parent_is_never_sent_itself(line: Line) -> None:
    parent = await drip(line)
    assert await line.send() == []
    assert await line.attempts(parent) == []
    assert line.panel.received() == []


async def test_runs_are_orders_that_their_reseller_may_ask_for(line: Line) -> None:
    parent = await drip(line)
    await look(line)
    await deliver(line)
    [run] = await runs_of(line, parent)
    assert await line.told(run["id"]) == ("Completed", SHARE, 0)


async def test_runs_are_refilled_and_their_parent_is_not(line: Line) -> None:
    await line.pool.execute("update service set refill = true")
    parent = await drip(line)
    await run_all(line, parent)
    runs = [run["id"] for run in await runs_of(line, parent)]
    asked = await Aftercare(line).request(parent, *runs)
    assert set(asked.made) == set(runs)
    assert asked.refused == {parent: REFILL_DISABLED}


@pytest.mark.parametrize(
    ("fault", "told", "spent"),
    [
        ("partial:30", ("Partial", 3 * (SHARE - SHARE * 30 // 100), 90), None),
        ("cancel", ("Canceled", 0, 300), 0),
        ("refuse", ("Canceled", 0, 300), 0),
    ],
)
async def test_what_runs_did_not_deliver_is_paid_back_on_them(
    line: Line, fault: str, told: tuple[str, int, int], spent: int | None
) -> None:
    parent = await drip(line, faulty(fault))
    await run_all(line, parent)
    assert await line.told(parent) == told
    assert await line.spent() == told[1]
    assert (await line.row(parent))["refunded"] == 0
    await line.world.assert_sound()


async def test_one_partial_and_one_canceled_run_make_a_partial_drip_feed(line: Line) -> None:
    parent = await drip(line)
    for command in (
        {},
        {"status": "Partial", "remains": 33},
        {"status": "Canceled"},
    ):
        await look(line, hours=1)
        await line.send()
        run = (await runs_of(line, parent))[-1]
        if command:
            await line.panel.control("order", {"order": int(run["upstream_id"] or 0), **command})
        else:
            await line.panel.control("advance", {"work": 1})
        await line.poll()
    await look(line)
    cost = 3 * SHARE - SHARE * 33 // 100 - SHARE
    assert await line.told(parent) == ("Partial", cost, 133)
    assert await line.spent() == cost
    await line.world.assert_sound()


@pytest.mark.parametrize("fault", ["close-after", "500-before"])
async def test_a_run_in_doubt_holds_up_those_after_it(line: Line, fault: str) -> None:
    parent = await drip(line, faulty(fault))
    for _ in range(4):
        await look(line, hours=5)
        await line.send()
        await line.poll()
    [run] = await runs_of(line, parent)
    assert run["state"] == OrderState.UNKNOWN
    assert (await line.row(parent))["state"] == OrderState.SCHEDULED
    assert line.upstream_requests(faulty(fault)) == 1
    await line.world.assert_sound()


async def test_after_a_long_stop_runs_come_one_at_a_time_and_an_interval_apart(line: Line) -> None:
    parent = await drip(line, runs=10)
    await look(line, hours=200)
    await deliver(line)
    for _ in range(5):
        await look(line)
        await deliver(line)
    assert len(await runs_of(line, parent)) == 1
    await look(line, hours=1)
    assert len(await runs_of(line, parent)) == 2


async def test_two_drip_feeds_on_one_link_take_turns(line: Line) -> None:
    link = faulty("stall")
    first, second = await drip(line, link), await drip(line, link)
    other = await drip(line, "https://example.com/other")
    await look(line)
    made = [len(await runs_of(line, parent)) for parent in (first, second, other)]
    assert sorted(made[:2]) == [0, 1]
    assert made[2] == 1
    await line.send()
    await look(line, hours=2)
    assert sum([len(await runs_of(line, parent)) for parent in (first, second)]) == 1
    running = first if made[0] else second
    [run] = await runs_of(line, running)
    await line.panel.control("order", {"order": int(run["upstream_id"]), "status": "Completed"})
    await line.poll()
    waiting = second if made[0] else first
    await look(line)
    assert len(await runs_of(line, waiting)) + len(await runs_of(line, running)) == 2


async def test_many_runners_make_each_run_once(line: Line) -> None:
    parents = [await drip(line, f"https://example.com/{n}", runs=4) for n in range(15)]
    runners = [Schedules(line.pool, lambda _: None) for _ in range(8)]
    for _ in range(4):
        async with line.pool.acquire() as conn:
            await conn.execute("update schedule set next_run_at = now() where next_run_at > now()")
            await conn.execute("update orders set next_at = now() where state = 'scheduled'")
        await asyncio.gather(*(runner.advance(limit=7) for runner in runners * 5))
        while await runners[0].advance():
            pass
        await deliver(line)
    await look(line)
    async with line.pool.acquire() as conn:
        numbers = await conn.fetch(
            "select parent_id, array_agg(number) as made from run group by 1"
        )
    assert {row["parent_id"] for row in numbers} == set(parents)
    assert all(sorted(row["made"]) == [1, 2, 3, 4] for row in numbers)
    links = [record["link"] for record in line.panel.accepted()]
    assert all(links.count(f"https://example.com/{n}") == 4 for n in range(15))
    assert await line.spent() == 15 * 4 * SHARE
    await line.world.assert_sound()


async def test_stopping_pays_back_at_once_what_was_not_made(line: Line) -> None:
    parent = await drip(line, runs=5)
    await look(line)
    await deliver(line)
    await look(line, hours=1)
    await line.send()
    assert (await cancel(line, parent)).steps == {parent: Step.STOPPED}
    running = (await runs_of(line, parent))[-1]
    assert await line.spent() == 2 * SHARE
    assert await line.told(parent) == ("In progress", 5 * SHARE, 400)
    await line.world.assert_sound()
    await line.panel.control(
        "order", {"order": int(running["upstream_id"]), "status": "Partial", "remains": 50}
    )
    await line.poll()
    await look(line, hours=9)
    cost = 2 * SHARE - SHARE // 2
    assert await line.told(parent) == ("Partial", cost, 350)
    assert await line.spent() == cost
    assert await line.history(parent) == ["stopped", "runs_ended"]
    await line.world.assert_sound()


async def test_an_operator_hears_that_a_drip_feed_is_stopped(line: Line) -> None:
    parent = await drip(line, runs=3)
    await look(line)
    await deliver(line)
    for warrant in (None, BY_TEST):
        done = await effect_of(
            line.pool, parent, Deed(OrderAction.CANCEL), warrant, correction_ms=1
        )
        assert done.result is Result.STOPPED


async def test_stopping_cancels_a_run_that_waits_and_ends_the_drip_feed(line: Line) -> None:
    parent = await drip(line)
    await look(line)
    assert (await cancel(line, parent)).steps == {parent: Step.STOPPED}
    assert await line.told(parent) == ("Canceled", 0, 300)
    assert await line.spent() == 0
    await line.send()
    assert line.panel.received() == []
    assert (await cancel(line, parent)).refused == {parent: CANCEL_UNAVAILABLE}
    await line.world.assert_sound()


async def test_canceling_asks_the_upstream_for_the_run_that_was_sent(
    line: Line, open_gateway: OpenGateway
) -> None:
    parent = await drip(line, runs=2)
    await look(line)
    await line.send()
    done = await cancel(line, parent)
    assert done.provider_ids == {line.provider.id}
    assert (await cancel(line, parent)).refused == {parent: CANCEL_REQUESTED}

    async def ended() -> bool:
        return await line.told(parent) == ("Canceled", 0, 200)

    async with open_gateway():
        async with line.pool.acquire() as conn:
            await conn.execute("update orders set next_at = now() where next_at < 'infinity'")
        await eventually(ended, seconds=60)  # a parent is looked at every few seconds
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_a_last_run_that_cannot_be_canceled_leaves_nothing_to_cancel(line: Line) -> None:
    parent = await drip(line, runs=1)
    await look(line)
    await line.send()
    async with line.pool.acquire() as conn:
        await conn.execute("update service set cancel = false")
    assert (await cancel(line, parent)).refused == {parent: CANCEL_UNAVAILABLE}
    assert await line.spent() == SHARE
    await line.world.assert_sound()


async def test_a_last_run_whose_upstream_refused_may_be_asked_for_again(line: Line) -> None:
    parent = await drip(line, runs=1)
    await look(line)
    await line.send()
    [run] = await runs_of(line, parent)
    assert (await cancel(line, parent)).provider_ids == {line.provider.id}
    assert (await cancel(line, parent)).refused == {parent: CANCEL_REQUESTED}
    async with line.pool.acquire() as conn:
        await conn.execute(
            "update cancellation set state = 'refused' where order_id = $1", run["id"]
        )
    assert (await cancel(line, parent)).steps == {parent: Step.STOPPED}


async def test_a_drip_feed_and_its_own_run_are_canceled_in_one_call(line: Line) -> None:
    parent, [waits] = await drip(line), await line.place(faulty(name="waits"))
    await look(line)
    await line.send()
    [run] = await runs_of(line, parent)
    [more] = await line.place(faulty(name="more"))
    done = await cancel(line, run["id"], parent, waits, more)
    assert done.steps[parent] is Step.STOPPED
    assert (done.steps[run["id"]], done.steps[more]) == (Step.STORED, Step.AT_ONCE)
    assert done.refused == {}
    await line.world.assert_sound()


async def test_stopping_by_many_at_once_pays_once(line: Line) -> None:
    parents = [await drip(line, f"https://example.com/{n}") for n in range(10)]
    await look(line)
    await asyncio.gather(
        *(cancel(line, parent) for parent in parents for _ in range(5)), look(line)
    )
    await look(line)
    assert {(await line.told(parent)) for parent in parents} == {("Canceled", 0, 300)}
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_a_drip_feed_that_is_repeated_under_its_name_is_one(line: Line) -> None:
    first = await drip(line, name="mine")
    assert await drip(line, name="mine") == first
    with pytest.raises(PanelError):
        await drip(line, name="mine", interval=30)
    assert await line.spent() == 3 * SHARE


async def test_a_tiny_charge_is_shared_out_to_the_last_micro_unit(line: Line) -> None:
    parent = await drip(line, runs=3, rate=1)
    assert (await line.row(parent))["charge"] == 1
    await line.pool.execute("update orders set below_cost = true")
    await run_all(line, parent)
    runs = await runs_of(line, parent)
    assert [run["charge"] for run in runs] == [0, 0, 1]
    assert await line.told(parent) == ("Completed", 1, 0)
    await line.world.assert_sound()


async def test_a_late_correction_of_a_run_pays_and_leaves_what_was_told(line: Line) -> None:
    parent = await drip(line)
    await run_all(line, parent)
    run = (await runs_of(line, parent))[0]
    command = {"order": int(run["upstream_id"]), "status": "Canceled"}
    await line.panel.control("order", command)
    await line.poll()
    assert await line.told(parent) == ("Completed", 3 * SHARE, 0)
    assert await line.spent() == 2 * SHARE
    await line.world.assert_sound()


async def test_a_gateway_drips_by_itself_and_over_a_restart(
    line: Line, world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    parent = await drip(line, runs=2)
    await sandbox.control("speed", {"seconds": 0.2})

    async def has(state: str, runs: int) -> bool:
        async with line.pool.acquire() as conn:
            await conn.execute(
                "update orders set next_at = least(next_at, now())"
                " where state in ('scheduled', 'placed', 'in_progress')"
            )
        found = await runs_of(line, parent)
        return len(found) == runs and found[-1]["state"] == state

    async with open_gateway():
        await eventually(lambda: has("completed", 1))
    async with line.pool.acquire() as conn:
        await conn.execute("update schedule set next_run_at = now() - interval '3 days'")
    async with open_gateway():
        await eventually(lambda: has("completed", 2))

        async def ended() -> bool:
            return (await line.told(parent))[0] == "Completed"

        await eventually(ended)
    [attempts] = {tuple(await line.attempts(run["id"])) for run in await runs_of(line, parent)}
    assert attempts == (AttemptState.PLACED,)
    await world.assert_sound()
