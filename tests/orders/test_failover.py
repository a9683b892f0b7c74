"""Failover between two real panels: what moves an order to the second, and what never does."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.catalogue.routing import Standing
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.failover import Ways, after_attempt
from gateway.orders.rerouting import reroute_stuck
from gateway.store import providers, routes, services
from providers.errors import Rejected, Unavailable
from schemas.catalogue import RouteChange, ServiceChange
from schemas.orders import AttemptState, Order, OrderState, QueuePlace, Tried
from schemas.upstream import RefusalGroup
from tests.conftest import OpenGateway, eventually
from tests.orders.line import DISPATCH, Line, faulty
from tests.orders.making import a_route, a_service, an_order
from tests.orders.pair import Pair, misbehave, open_pair
from tests.sandbox_process import SandboxProcess
from tests.world import World

_CHARGE = 1_050_020  # by the dearest route


@pytest.fixture
async def pair(world: World, sandbox: SandboxProcess, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two panels, the first being the first choice; nothing runs by itself."""
    async with open_pair(world, sandbox, tmp_path / "second") as opened:
        yield opened


async def _assert_delivered_by_the_second(
    pair: Pair, number: int, link: str, *, orders: int = 1
) -> None:
    row = await pair.row(number)
    assert row["state"] == OrderState.PLACED
    assert row["provider_id"] == pair.second.provider.id
    assert row["cost"] == 840_010
    assert (row["charge"], row["wire_charge"], row["wire_status"]) == (_CHARGE, _CHARGE, "Pending")
    assert pair.accepted(link) == (0, 1)
    assert await pair.first.spent() == orders * _CHARGE
    await pair.world.assert_sound()


_PROOFS = {
    "refuse": "refused_order_rerouted",
    "refuse:Incorrect service ID": "refused_service_rerouted",
    "no-funds": "refused_account_rerouted",
    "too-many": "not_sent_rerouted",
}


async def test_what_the_first_provably_did_not_take_the_second_delivers_once(pair: Pair) -> None:
    for number_of, (fault, cause) in enumerate(_PROOFS.items(), 1):
        await misbehave(pair.first.panel, fault, times=1)
        link = faulty(name=str(number_of))
        [number] = await pair.place(link)
        assert (await pair.row(number))["provider_id"] == pair.first.provider.id
        async with pair.first.pool.acquire() as conn:
            await conn.execute("update provider set held_until = null")
        await pair.send()
        await _assert_delivered_by_the_second(pair, number, link, orders=number_of)
        assert await pair.first.history(number) == ["claimed", cause, "claimed", "upstream_took"]
        assert pair.asked(link) == (1, 1)


async def test_a_panel_that_cannot_be_reached_loses_its_orders_to_the_second(pair: Pair) -> None:
    link = faulty()
    [number] = await pair.place(link)
    await pair.first.panel.kill()
    await pair.send()
    await _assert_delivered_by_the_second(pair, number, link)
    assert await pair.first.attempts(number) == [AttemptState.NOT_SENT, AttemptState.PLACED]


async def test_an_account_without_funds_is_set_aside_and_its_order_moves(pair: Pair) -> None:
    await pair.first.panel.control("balance", {"amount": "0"})
    link = faulty()
    [number] = await pair.place(link)
    await pair.first.send()
    async with pair.first.pool.acquire() as conn:
        held = await providers.get_provider(conn, pair.first.provider.name)
    assert held is not None
    assert (held.holds, held.held_reason) == (1, "Not enough funds on balance")
    await pair.second.send()
    await _assert_delivered_by_the_second(pair, number, link)


async def test_an_order_that_may_have_been_taken_never_reaches_the_second_panel(
    pair: Pair,
) -> None:
    faults = ("reset-after", "reset-before", "500-after", "html-before")
    links = {fault: faulty(name=fault) for fault in faults}
    made = {}
    for fault, link in links.items():
        await misbehave(pair.first.panel, fault, times=1)
        [made[fault]] = await pair.place(link)
        await pair.first.send()
    for _ in range(4):
        await pair.send()
        await reroute_stuck(pair.first.pool, {pair.first.provider.id: Standing(False, True)})
        await freeze_forgotten(pair.first.pool)
        await pair.due()
    for fault, number in made.items():
        row = await pair.row(number)
        assert (row["state"], row["provider_id"]) == (OrderState.UNKNOWN, pair.first.provider.id)
        assert (row["attempts"], row["refunded"]) == (1, 0)
        assert pair.asked(links[fault]) == (1, 0)
    await pair.world.assert_sound()


async def test_an_order_that_everybody_refuses_is_paid_back_exactly(pair: Pair) -> None:
    link = faulty("refuse")
    [number] = await pair.place(link)
    await pair.send()
    await pair.due()
    await pair.send()
    assert (await pair.row(number))["state"] == OrderState.FAILED
    assert pair.asked(link) == (1, 1)
    assert await pair.first.spent() == 0
    assert await pair.first.told(number) == ("Canceled", 0, 1000)
    await pair.world.assert_sound()


async def test_a_route_that_refused_for_good_is_never_asked_again(pair: Pair) -> None:
    await misbehave(pair.first.panel, "refuse", times=1)
    await misbehave(pair.second.panel, "active-link")
    link = faulty()
    [number] = await pair.place(link)
    for _ in range(DISPATCH.same_route_tries + 3):
        await pair.send()
        await pair.due()
    row = await pair.row(number)
    assert (row["state"], row["provider_id"]) == (OrderState.QUEUED, pair.second.provider.id)
    assert pair.asked(link) == (1, DISPATCH.same_route_tries + 3)
    await pair.world.assert_sound()


async def test_an_active_link_is_waited_for_and_then_left_to_the_second(pair: Pair) -> None:
    await misbehave(pair.first.panel, "active-link")
    link = faulty()
    [number] = await pair.place(link)
    for tries in range(1, DISPATCH.same_route_tries + 1):
        await pair.first.send()
        moved = (await pair.row(number))["provider_id"] == pair.second.provider.id
        assert moved == (tries == DISPATCH.same_route_tries)
        await pair.due()
    await pair.send()
    await _assert_delivered_by_the_second(pair, number, link)


async def test_an_active_link_after_a_doubt_goes_to_a_person(pair: Pair) -> None:
    link = faulty()
    [number] = await pair.place(link)
    await misbehave(pair.first.panel, "reset-after", times=1)
    await pair.first.send()
    async with pair.first.pool.acquire() as conn:
        # As if somebody had decided, wrongly, that it was not taken.
        await conn.execute("update attempt set state = 'not_sent' where order_id = $1", number)
        await conn.execute(
            "insert into order_event (order_id, version, from_state, to_state, cause)"
            " select id, version + 1, 'unknown', 'queued', 'decided' from orders where id = $1",
            number,
        )
        await conn.execute(
            "update orders set state = 'queued', version = version + 1, next_at = now()"
            " where id = $1",
            number,
        )
    await misbehave(pair.first.panel, "active-link", times=1)
    await pair.first.send()
    assert (await pair.row(number))["state"] == OrderState.REVIEW
    assert (await pair.first.history(number))[-1] == "active_link_after_doubt"
    assert await pair.send() == []
    assert pair.accepted(link) == (1, 0)
    assert await pair.first.spent() == _CHARGE
    await pair.world.assert_sound()


async def test_a_refusal_that_comes_late_moves_the_order_to_the_second(pair: Pair) -> None:
    await misbehave(pair.first.panel, "refuse")
    link = faulty()
    [number] = await pair.place(link)
    claim = await pair.first.sender.claim(pair.first.provider, 1)
    async with pair.first.pool.acquire() as conn:
        await conn.execute("update orders set next_at = now() where id = $1", number)
    await freeze_forgotten(pair.first.pool)
    line = pair.first
    await line.sender.send(line.adapter, line.provider, claim.orders[0], claim.at)
    await pair.second.send()
    await _assert_delivered_by_the_second(pair, number, link)


async def test_a_route_that_became_too_dear_is_not_used(pair: Pair) -> None:
    link, other = faulty(name="a"), faulty(name="b")
    price = pair.first.catalogue.current.services[pair.service].rate
    async with pair.first.pool.acquire() as conn:
        await services.set_service(conn, pair.service, ServiceChange(rate=price))
        service = await services.get_service(conn, pair.service)
        assert service is not None
        fair, spare = service.routes
        dear = replace(fair, cost=price + 1)
        [number] = await pair.place(link)
        await services.set_routes(conn, [dear])
    await pair.send()
    await _assert_delivered_by_the_second(pair, number, link)
    async with pair.first.pool.acquire() as conn:
        await services.set_routes(conn, [fair])
        await routes.set_route(conn, spare.id, RouteChange(enabled=False))
        await pair.first.catalogue.refresh(conn)
        [held] = await pair.place(other)
        await services.set_routes(conn, [dear])
    for _ in range(3):
        await pair.send()
        await pair.due()
    assert (await pair.row(held))["state"] == OrderState.QUEUED
    assert pair.asked(other) == (0, 0)
    async with pair.first.pool.acquire() as conn:
        await conn.execute("update service set below_cost = true where id = $1", pair.service)
    await pair.send()
    assert pair.accepted(other) == (1, 0)
    await pair.world.assert_sound()


async def test_an_order_that_no_route_may_deliver_for_long_is_paid_back(pair: Pair) -> None:
    link = faulty()
    [number] = await pair.place(link)
    pool = pair.first.pool
    await pool.execute("update route set cost = 100 * cost where service_id = $1", pair.service)

    async def look(hours_ago: float) -> str:
        await pair.due()
        await pool.execute(
            "update attempt set started_at = started_at - $1::interval", timedelta(hours=hours_ago)
        )
        await pair.send()
        return str((await pair.row(number))["state"])

    assert await look(0) == await look(23) == OrderState.QUEUED
    # A route that may deliver it, whose provider was away: it waited for that, not for a price.
    await pool.execute(
        "update attempt set reason = 'away' where number = (select max(number) from attempt)"
    )
    assert await look(2) == await look(23) == OrderState.QUEUED
    assert await look(2) == OrderState.FAILED
    row = await pair.row(number)
    assert (row["refunded"], row["wire_status"], row["wire_charge"]) == (_CHARGE, "Canceled", 0)
    assert (await pair.first.history(number))[-1] == "too_dear_too_long"
    assert pair.asked(link) == (0, 0)
    assert await pair.first.spent() == 0
    await pair.world.assert_sound()


async def test_an_order_may_move_to_a_loss_where_its_service_is_sold_below_cost(
    pair: Pair,
) -> None:
    link, other = faulty("refuse", name="a"), faulty(name="b")
    refused, waiting = await pair.place(link, other)
    async with pair.first.pool.acquire() as conn:
        service = await services.get_service(conn, pair.service)
        assert service is not None
        await services.set_service(conn, service.id, ServiceChange(below_cost=True))
        await services.set_routes(conn, [replace(service.routes[1], cost=2 * _CHARGE)])
        await conn.execute("update orders set next_at = 'infinity' where id = $1", waiting)
    await pair.first.send()
    first, second = pair.first.provider.id, pair.second.provider.id
    standings = {first: Standing(usable=False, stuck=True), second: Standing()}
    assert await reroute_stuck(pair.first.pool, standings) == {second}
    for number in (refused, waiting):
        row = await pair.row(number)
        assert (row["provider_id"], row["below_cost"]) == (second, True)
        assert row["cost"] > row["charge"]
    await pair.world.assert_sound()


async def test_orders_leave_a_stuck_provider_for_a_healthy_one_and_wait_without(
    pair: Pair,
) -> None:
    links = [faulty(name=str(n)) for n in range(120)]
    made = await pair.place(*links)
    stuck, well = Standing(usable=False, stuck=True), Standing()
    first, second = pair.first.provider.id, pair.second.provider.id
    assert await reroute_stuck(pair.first.pool, {first: stuck, second: stuck}) == set()
    assert await reroute_stuck(pair.first.pool, {first: well, second: well}) == set()
    assert await reroute_stuck(pair.first.pool, {first: stuck, second: well}) == {second}
    rows = await pair.first.rows()
    assert {row["provider_id"] for row in rows.values()} == {second}
    assert await pair.first.history(made[0]) == ["provider_stuck_rerouted"]
    assert await pair.first.send() == []
    await pair.second.send()
    assert {pair.accepted(link) for link in links} == {(0, 1)}
    await pair.world.assert_sound()


async def test_a_queue_is_not_read_when_its_orders_have_nowhere_to_go(pair: Pair) -> None:
    [number] = await pair.place(faulty())
    stuck, well = Standing(usable=False, stuck=True), Standing()
    first, second = pair.first.provider.id, pair.second.provider.id
    async with pair.first.pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table orders in access exclusive mode")
        async with asyncio.timeout(20):
            away = {first: stuck, second: stuck}
            assert await reroute_stuck(pair.first.pool, away) == set()
    async with pair.first.pool.acquire() as conn, conn.transaction():
        await conn.execute("select from orders for update")
        async with asyncio.timeout(20):
            elsewhere = {first: stuck, second: stuck, second + 1: well}
            assert await reroute_stuck(pair.first.pool, elsewhere) == set()
    assert (await pair.row(number))["provider_id"] == first


async def test_a_queue_is_read_in_batches_in_the_order_of_its_times(pair: Pair) -> None:
    made = await pair.place(*[faulty(name=str(n)) for n in range(7)])
    turns = [made[n] for n in (3, 0, 6, 1, 5, 2, 4)]
    async with pair.first.pool.acquire() as conn:
        for turn, number in enumerate(turns):
            late = "update orders set next_at = '2026-01-01'::timestamptz + $2 where id = $1"
            await conn.execute(late, number, timedelta(days=turn // 2))
        found: list[int] = []
        after: QueuePlace | None = QueuePlace(datetime(2000, 1, 1, tzinfo=UTC), 0)
        others = [pair.second.provider.id]
        while after is not None:
            places = await routes.lock_waiting_elsewhere(
                conn, pair.first.provider.id, others, after=after, limit=3
            )
            found += [place.order_id for place in places]
            after = places[-1] if places else None
        nowhere = await routes.lock_waiting_elsewhere(
            conn,
            pair.first.provider.id,
            [pair.first.provider.id + 100],
            after=QueuePlace(datetime(2000, 1, 1, tzinfo=UTC), 0),
            limit=3,
        )
    assert found == [n for day in range(4) for n in sorted(turns[2 * day : 2 * day + 2])]
    assert nowhere == []


async def test_a_paused_provider_gets_nothing_and_a_resumed_one_again(
    pair: Pair, open_gateway: OpenGateway
) -> None:
    async def pause(reason: str | None) -> None:
        async with pair.first.pool.acquire() as conn:
            await providers.set_provider_paused(conn, pair.first.provider.id, reason)

    async def at(number: int) -> int | None:
        row = await pair.row(number)
        return row["provider_id"] if row["state"] == OrderState.PLACED else None

    await pause("they are moving house")
    [moved] = await pair.place(faulty(name="moved"))
    async with open_gateway():
        assert await eventually(lambda: at(moved)) == pair.second.provider.id
        await pause(None)
        await asyncio.sleep(0)
        async with pair.first.pool.acquire() as conn:
            # Only the first can deliver this one.
            await conn.execute("delete from route where provider_id = $1", pair.second.provider.id)
            await pair.first.catalogue.refresh(conn)
        [back] = await pair.place(faulty(name="back"))
        assert await eventually(lambda: at(back)) == pair.first.provider.id
    await pair.world.assert_sound()


async def test_a_silent_panel_loses_its_queue_to_the_second(
    pair: Pair, open_gateway: OpenGateway
) -> None:
    await pair.first.panel.kill()
    links = [faulty(name=str(n)) for n in range(40)]
    await pair.place(*links)

    async def delivered() -> bool:
        rows = await pair.first.rows()
        return {row["state"] for row in rows.values()} == {OrderState.PLACED}

    async with open_gateway(dispatch={"reroute_ms": 200}):
        await eventually(delivered)
    assert {pair.accepted(link) for link in links} == {(0, 1)}
    assert await pair.first.spent() == len(links) * _CHARGE
    await pair.world.assert_sound()


async def test_a_known_low_balance_makes_new_orders_go_elsewhere(
    pair: Pair, open_gateway: OpenGateway
) -> None:
    await pair.first.panel.control("balance", {"amount": "0.50"})
    async with open_gateway() as gateway:

        async def known() -> bool:
            standing = gateway._core.standings.get(pair.first.provider.id)
            return standing is not None and standing.balance == 500_000

        await eventually(known)
        link = faulty()
        front = gateway._front
        assert front is not None
        front._intake._catalogue = pair.first.catalogue
        line = replace(pair.first, intake=front._intake)
        [number] = await line.place(link, upstream="101")

        async def placed() -> bool:
            return bool((await pair.row(number))["state"] == OrderState.PLACED)

        await eventually(placed)
    assert pair.asked(link) == (0, 1)
    async with pair.first.pool.acquire() as conn:
        record = await providers.get_provider(conn, pair.first.provider.name)
    assert record is not None
    assert (record.balance, record.holds) == (500_000, 0)


_FAULTS = (
    *("refuse", "no-funds", "too-many", "active-link") * 2,
    "reset-after",
    "reset-before",
    "500-after",
    "html-before",
    "slow-after:30",
    "slow-before:30",
)


async def test_no_order_is_ever_accepted_at_two_panels(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    """Senders of both providers at once, killed at random, between panels that misbehave."""
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    with capsys.disabled():
        print(f"\nfailover race: seed {seed}")
    chance = random.Random(seed)
    links = [faulty(name=str(n)) for n in range(120)]
    made = dict(zip(await pair.place(*links), links, strict=True))
    done = asyncio.Event()

    async def sends(line: Line) -> None:
        while not done.is_set():
            task = asyncio.ensure_future(line.send(limit=chance.randint(1, 5)))
            if chance.random() < 0.2:
                await asyncio.sleep(chance.uniform(0, 0.03))
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def disturbs() -> None:
        ids = [pair.first.provider.id, pair.second.provider.id]
        for _ in range(40):
            for line in (pair.first, pair.second):
                await misbehave(line.panel, chance.choice(_FAULTS), chance.randint(1, 3))
            stuck = Standing(usable=False, stuck=True)
            lost = [chance.choice(ids)] if chance.random() < 0.7 else []
            standings = {number: stuck if number in lost else Standing() for number in ids}
            await reroute_stuck(pair.first.pool, standings)
            async with pair.first.pool.acquire() as conn:
                await conn.execute("update provider set held_until = null")
                # Leases end early, so that answers come late.
                await conn.execute(
                    "update orders set next_at = now() where state = 'sending' and id % 3 = $1",
                    chance.randrange(3),
                )
            await freeze_forgotten(pair.first.pool)
            await pair.due()
        done.set()

    lines = (pair.first, pair.second, pair.first, pair.second)
    await asyncio.gather(disturbs(), *map(sends, lines))
    states: dict[str, int] = {}
    for number, row in (await pair.first.rows()).items():
        accepted = pair.accepted(made[number])
        story = f"seed {seed}: order {number} is {row['state']}, accepted {accepted}"
        states[row["state"]] = states.get(row["state"], 0) + 1
        assert sum(accepted) <= 1, story
        if row["state"] == OrderState.PLACED:
            at = accepted[
                [pair.first.provider.id, pair.second.provider.id].index(row["provider_id"])
            ]
            assert at == 1, story
        elif row["state"] in (OrderState.QUEUED, OrderState.FAILED):
            assert accepted == (0, 0), story
    with capsys.disabled():
        print(json.dumps(states))
    assert len(states) > 1
    assert {row["provider_id"] for row in (await pair.first.rows()).values()} == {
        pair.first.provider.id,
        pair.second.provider.id,
    }
    await pair.world.assert_sound()


# the decision alone


def _ways(**tried: Tried) -> Ways:
    two = (a_route(), a_route(id=2, provider_id=2, provider="second"))
    known = {(int(name[1:]), "1"): met for name, met in tried.items()}
    return Ways(service=a_service(rate=10_000_000, routes=two), tried=known)


def _sending() -> Order:
    return an_order(OrderState.SENDING, upstream_id=None)


def test_a_refusal_for_good_after_the_other_route_was_busy_goes_back_there_later() -> None:
    ways = _ways(p1=Tried(True, 1), p2=Tried(False, 5))
    [change] = after_attempt(_sending(), Rejected("x", RefusalGroup.ORDER), DISPATCH, ways)
    assert (change.state, change.provider_id) == (OrderState.QUEUED, 2)
    assert change.next_in is not None
    assert change.next_in > 0


def test_when_all_were_asked_equally_often_the_order_stays_and_waits() -> None:
    ways = _ways(p1=Tried(False, 1), p2=Tried(False, 1))
    [change] = after_attempt(_sending(), Unavailable("x"), DISPATCH, ways)
    assert (change.state, change.provider_id) == (OrderState.QUEUED, 1)
    assert change.route is None
    assert change.next_in is not None
    assert change.next_in > 0


def test_a_late_word_of_an_active_link_leaves_an_order_in_review_there() -> None:
    late = Rejected("You have active order with this link", RefusalGroup.TEMPORARY)
    order = an_order(OrderState.REVIEW, upstream_id=None)
    assert after_attempt(order, late, DISPATCH, Ways(was_in_doubt=True)) == []
