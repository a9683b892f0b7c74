"""The switch that stops ordering: adds are refused, and all that was accepted goes on."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.resellers.ordering import start_ordering, stop_ordering
from gateway.store import operator_actions
from schemas.operators import Actor, Role, Warrant
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.web.test_repeats import LINK, NOBODY, lose_an_answer
from tests.world import BY_TEST, World

PAUSED = {"error": "Ordering is paused"}


def _adding(client: PanelClient, service: int, link: str) -> Callable[[], Awaitable[Any]]:
    fields = {"service": service, "link": link, "quantity": 100}
    return lambda: client.call("add", **fields)


async def _paused(add: Callable[[], Awaitable[Any]]) -> bool:
    return bool(await add() == PAUSED)


async def test_a_stop_refuses_new_orders_and_lets_old_ones_run(
    world: World, open_gateway: OpenGateway, sandbox: SandboxProcess
) -> None:
    await world.sandbox(sandbox)
    ours, theirs = await world.reseller("ours"), await world.reseller("theirs")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, ours.key) as client,
        PanelClient(gateway.api_url, theirs.key) as other,
    ):
        services = await client.call("services")
        service = next(s["service"] for s in services if s["type"] == "Default")
        placed = (await _adding(client, service, "https://a.example/1")())["order"]
        assert await stop_ordering(world.pool, "ours", BY_TEST)
        assert not await stop_ordering(world.pool, "ours", BY_TEST)
        await eventually(lambda: _paused(_adding(client, service, "https://a.example/2")))
        balance = await world.balance(ours)
        assert await _adding(client, service, "https://a.example/3")() == PAUSED
        assert await world.balance(ours) == balance
        assert "order" in await _adding(other, service, "https://a.example/4")()
        # What was accepted is sent and followed, and reads are answered.
        await eventually(lambda: _upstream(sandbox, "https://a.example/1"))
        assert (await client.call("status", order=placed))["status"] != "Canceled"
        assert "balance" in await client.call("balance")
        await stop_ordering(world.pool, None, BY_TEST)
        await eventually(lambda: _paused(_adding(other, service, "https://a.example/5")))
        await start_ordering(world.pool, None, BY_TEST)
        await eventually(lambda: _taken(other, service))
        assert await _adding(client, service, "https://a.example/7")() == PAUSED
    await world.assert_sound()


async def _upstream(sandbox: SandboxProcess, link: str) -> bool:
    return any(record["link"] == link for record in sandbox.accepted())


async def _taken(client: PanelClient, service: int) -> bool:
    return "order" in await _adding(client, service, "https://a.example/6")()


async def test_who_retries_hears_of_the_order_that_was_placed_before_the_stop(
    world: World, open_gateway: OpenGateway
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        named = {"service": service, "link": LINK + "/named", "quantity": 100, "external_id": "n1"}
        first = (await client.call("add", **named))["order"]
        lost = await lose_an_answer(world, gateway.api_url, customer, service)
        await stop_ordering(world.pool, None, BY_TEST)
        await eventually(lambda: _paused(_adding(client, service, "https://a.example/new")))
        assert (await client.call("add", **named))["order"] == first
        # "Ordering is paused" would say that it does not exist, and it would be bought elsewhere.
        assert (await _adding(client, service, LINK)())["order"] == lost


async def test_the_switch_wants_a_reason_and_is_logged(world: World) -> None:
    await world.reseller("acme")
    silent = Warrant(Actor("tests", Role.OWNER))
    with pytest.raises(UserError, match="say why"):
        await stop_ordering(world.pool, "acme", silent)
    with pytest.raises(UserError, match="no reseller ghost"):
        await stop_ordering(world.pool, "ghost", BY_TEST)
    await stop_ordering(world.pool, "acme", BY_TEST)
    await start_ordering(world.pool, "acme", BY_TEST)
    assert not await start_ordering(world.pool, "acme", BY_TEST)
    async with world.pool.acquire() as conn:
        kept = await operator_actions.list_actions(conn)
    assert [act.action for act in kept][:2] == ["ordering.started", "ordering.stopped"]
