"""Where runs of drip-feeds are sent, and orders whose service has become something else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.catalogue.routing import Standing
from gateway.orders.failover import Withheld
from gateway.orders.schedules import Schedules, run_route
from schemas.orders import OrderState, PlannedRoute
from tests.orders.line import faulty
from tests.orders.making import a_route, a_service, an_order
from tests.orders.pair import Pair, open_pair
from tests.orders.test_drip_feed import drip, look, run_all, runs_of
from tests.sandbox_process import SandboxProcess
from tests.world import World

_LINK = "https://example.com/x"
_OFF = "update route set enabled = false, disabled_reason = 'off for a test'"


@pytest.fixture
async def pair(world: World, sandbox: SandboxProcess, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two panels, the first being the first choice; nothing runs by itself."""
    async with open_pair(world, sandbox, tmp_path / "second") as opened:
        yield opened


@pytest.mark.parametrize("change", [_OFF, "delete from route"])
async def test_a_run_is_planned_for_a_route_that_is_there_when_it_is_made(
    pair: Pair, change: str
) -> None:
    parent = await drip(pair.first)
    pool, first = pair.first.pool, pair.first.provider.id
    await pool.execute(f"{change} where provider_id = $1 and service_id = $2", first, pair.service)
    await look(pair.first)
    [run] = await runs_of(pair.first, parent)
    assert (run["provider_id"], run["cost"]) == (pair.second.provider.id, 84_001)
    await pair.send()
    assert pair.asked(_LINK) == (0, 1)
    await pair.world.assert_sound()


async def test_a_run_avoids_a_provider_that_cannot_take_it_and_wakes_the_one_that_can(
    pair: Pair,
) -> None:
    parent = await drip(pair.first)
    woken: list[int] = []
    standings = {pair.first.provider.id: Standing(usable=False)}
    assert await Schedules(pair.first.pool, woken.extend, standings).advance() == 1
    [run] = await runs_of(pair.first, parent)
    assert [run["provider_id"]] == woken == [pair.second.provider.id]


@pytest.mark.parametrize("change", [_OFF, "delete from route"])
async def test_a_run_that_nobody_may_deliver_waits_for_a_route(pair: Pair, change: str) -> None:
    parent = await drip(pair.first)
    pool, second = pair.first.pool, pair.second.provider.id
    await pool.execute(f"{change} where service_id = $1", pair.service)
    await look(pair.first)
    outcomes = await pair.send()
    assert [type(outcome) for outcome in outcomes] == [Withheld]
    [run] = await runs_of(pair.first, parent)
    assert (run["state"], run["provider_id"]) == (OrderState.QUEUED, pair.first.provider.id)
    assert pair.asked(_LINK) == (0, 0)
    await pool.execute("delete from route where service_id = $1", pair.service)
    await pool.execute(
        "insert into route (service_id, provider_id, upstream_service, cost)"
        " values ($1, $2, '101', 840010)",
        *(pair.service, second),
    )
    await pair.due()
    await pair.send()
    assert pair.asked(_LINK) == (0, 1)
    await pair.world.assert_sound()


@pytest.mark.parametrize("meant", [False, True])
async def test_a_run_is_planned_and_sent_at_a_loss_only_where_that_is_meant(
    pair: Pair, meant: bool
) -> None:
    parent = await drip(pair.first)
    pool = pair.first.pool
    await pool.execute("update route set cost = 100 * cost where service_id = $1", pair.service)
    await pool.execute("update service set below_cost = $2 where id = $1", pair.service, meant)
    await look(pair.first)
    await pair.send()
    [run] = await runs_of(pair.first, parent)
    row = await pair.row(run["id"])
    assert (row["below_cost"], row["cost"] > row["charge"]) == (meant, meant)
    assert pair.asked(_LINK) == (int(meant), 0)
    await pair.world.assert_sound()


async def test_an_order_that_waits_at_a_route_that_is_switched_off_is_still_sent(
    pair: Pair,
) -> None:
    await pair.place(_LINK)
    await pair.first.pool.execute(_OFF)
    await pair.send()
    assert pair.asked(_LINK) == (1, 0)


async def test_no_order_is_sent_for_a_service_that_has_become_another_type(pair: Pair) -> None:
    parent = await drip(pair.first)
    other = faulty(name="other")
    [order] = await pair.place(other)
    pool = pair.first.pool
    await pool.execute("update service set type = 'Package' where id = $1", pair.service)
    await look(pair.first)
    for _ in range(3):
        await pair.due()
        await pair.send()
    assert (pair.asked(_LINK), pair.asked(other)) == ((0, 0), (0, 0))
    [run] = await runs_of(pair.first, parent)
    for row in (run, await pair.row(order)):
        assert (row["state"], row["provider_id"]) == (OrderState.QUEUED, pair.first.provider.id)
    await pool.execute("update service set type = 'Default' where id = $1", pair.service)
    await pair.due()
    await pair.send()
    assert (pair.asked(_LINK), pair.asked(other)) == ((1, 0), (1, 0))
    await pair.world.assert_sound()


async def test_runs_over_two_routes_are_charged_as_one_drip_feed(pair: Pair) -> None:
    parent = await drip(pair.first, runs=2)
    await run_all(pair.first, parent, runs=1)
    await pair.first.pool.execute(f"{_OFF} where provider_id = $1", pair.first.provider.id)
    await run_all(pair.second, parent, runs=1)
    runs = await runs_of(pair.first, parent)
    assert [run["provider_id"] for run in runs] == [pair.first.provider.id, pair.second.provider.id]
    assert (await pair.first.told(parent))[0] == "Completed"
    assert await pair.first.spent() == (await pair.row(parent))["charge"]
    await pair.world.assert_sound()


def test_a_run_of_a_service_that_is_gone_or_off_stays_where_its_parent_was_planned_for() -> None:
    parent = an_order(OrderState.SCHEDULED, upstream_id=None)
    off = a_service(routes=(a_route(enabled=False),))
    other = a_service(type="Package", routes=(a_route(),))
    for service in (None, off, other):
        assert run_route(parent, service, 2, 100, {}) is None


def test_a_run_is_not_planned_for_a_route_that_costs_more_than_it_pays() -> None:
    parent = an_order(OrderState.SCHEDULED, upstream_id=None, rate=9_000)
    dear = a_route(cost=9_001)
    assert run_route(parent, a_service(routes=(dear,)), 2, 100, {}) is None
    meant = run_route(parent, a_service(routes=(dear,), below_cost=True), 2, 100, {})
    assert meant == PlannedRoute(1, "1", 901, below_cost=True)


def test_a_run_costs_what_its_pieces_cost_by_its_route() -> None:
    parent = an_order(OrderState.SCHEDULED, upstream_id=None, rate=9_000)
    service = a_service(routes=(a_route(provider_id=7, upstream_service="55", cost=5_000),))
    assert run_route(parent, service, 2, 100, {}) == PlannedRoute(7, "55", 500, below_cost=False)
