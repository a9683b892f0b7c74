"""Lanes as the gateway runs them: through stops, edits of accounts, and panels that fall silent."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.catalogue import upstreams
from gateway.store.connection import Pool
from gateway.workers.reading import TrackingLane
from providers.transport import Transport
from schemas.config import SettingsModel, TrackingSettings
from schemas.orders import AttemptState, OrderState
from schemas.upstream import RefusalGroup
from tests.conftest import OpenGateway, eventually
from tests.odd_panels import KEY, OddPanel, serving
from tests.orders.line import faulty, open_line
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, KEYS, World


async def _states(pool: Pool) -> dict[str, int]:
    rows = await pool.fetch("select state, count(*) from orders group by state")
    return {row["state"]: row["count"] for row in rows}


async def _place(client: PanelClient, service: int, links: list[str]) -> None:
    await asyncio.gather(*(client.add(service, 100, link) for link in links))


async def test_an_orderly_stop_under_load_leaves_no_order_in_doubt(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    service = await world.service(
        await world.provider(sandbox.url, sandbox.key, in_flight=50), upstream_service="101"
    )
    customer = await world.reseller(funds="1000")
    for run in range(6):
        async with (
            open_gateway() as gateway,
            PanelClient(gateway.api_url, customer.key) as client,
        ):
            links = [f"https://a.example/{run}/{n}" for n in range(60)]
            await _place(client, service, links)
        states = await _states(pool)
        assert OrderState.SENDING not in states
        assert OrderState.UNKNOWN not in states


async def test_a_stop_while_a_claim_is_slow_sends_what_it_takes(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    async with open_line(world, sandbox) as line:
        await pool.execute(
            """create function slow() returns trigger language plpgsql as
               $$ begin perform pg_sleep(6.5); return null; end $$;
               create constraint trigger slow after insert on attempt
                   deferrable initially deferred for each row execute function slow()"""
        )
        [number] = await line.place(faulty())

        async def claiming() -> bool:
            return bool(
                await pool.fetchval(
                    "select exists (select from pg_stat_activity where wait_event = 'PgSleep')"
                )
            )

        async with open_gateway():
            await eventually(claiming)
        assert (await line.row(number))["state"] == OrderState.QUEUED
        assert await line.attempts(number) == [AttemptState.NOT_SENT]


async def test_an_account_that_was_broken_and_mended_sends_again(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key)
    service = await world.service(provider, upstream_service="101")
    customer = await world.reseller()

    async def options(**changed: object) -> None:
        value = json.dumps(provider.options | changed)
        await pool.execute("update provider set options = $1", value)

    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        await client.add(service)
        await eventually(lambda: _placed(pool, 1))
        await options(in_flight=0)
        await eventually(lambda: _unusable(gateway, provider.id))
        await options()
        await client.add(service, link="https://a.example/2")
        await eventually(lambda: _placed(pool, 2))


async def _placed(pool: Pool, number: int) -> bool:
    return (await _states(pool)).get(OrderState.PLACED) == number


async def _unusable(gateway: Any, provider_id: int) -> bool:
    return provider_id in gateway._background._lanes._unusable


async def test_a_panel_that_answers_nonsense_gets_one_order_at_a_time(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key, in_flight=4)
    service = await world.service(provider, upstream_service="101")
    customer = await world.reseller()
    await sandbox.control("faults", {"action": "add", "fault": "html-before", "times": 1000})
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        await _place(client, service, [f"https://a.example/{n}" for n in range(40)])

        async def in_doubt() -> bool:
            return (await _states(pool)).get(OrderState.UNKNOWN, 0) >= 5

        await eventually(in_doubt)
        # The first four were out together; since then it is one by one, with growing pauses.
        assert (await _states(pool))[OrderState.QUEUED] >= 30


async def _lanes_know(gateway: Any, provider_id: int, option: str) -> bool:
    pair = gateway._background._lanes._lanes.get(provider_id)
    return pair is not None and option in pair[0].record.options


async def test_words_that_an_operator_explained_are_understood_from_then_on(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key)
    service = await world.service(provider, upstream_service="101")
    customer = await world.reseller()
    links = [f"https://a.example/{n}?sandbox=refuse:Out+of+order" for n in range(2)]

    async def in_state(state: OrderState) -> bool:
        return bool((await _states(pool)).get(state))

    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        await client.add(service, 100, links[0])
        await eventually(lambda: in_state(OrderState.UNKNOWN))
        async with Transport() as transport:
            await upstreams.change_provider(
                pool,
                transport,
                provider.name,
                lambda record: upstreams.taught(record, "Out of order", RefusalGroup.ORDER),
                SettingsModel(),
                KEYS,
                BY_TEST,
            )
        await eventually(lambda: _lanes_know(gateway, provider.id, "known_refusals"))
        await client.add(service, 100, links[1])
        await eventually(lambda: in_state(OrderState.FAILED))
    assert await _states(pool) == {OrderState.UNKNOWN: 1, OrderState.FAILED: 1}
    await world.assert_sound()


@pytest.mark.parametrize("batch", [1, 100])
async def test_a_panel_that_knows_no_lists_costs_the_budget_a_token_a_request(
    world: World, sandbox: SandboxProcess, batch: int
) -> None:
    """A minute, second by second, by setting the budget's clock back: one request each."""
    async with (
        open_line(world, sandbox) as line,
        serving(OddPanel(lists=False)) as panel,
        Transport() as transport,
    ):
        await line.placed(*[faulty(name=str(n)) for n in range(50)])
        await world.pool.execute("update orders set next_at = now() where next_at < 'infinity'")
        odd = await line.world.provider(panel.url, KEY, "odd")
        own: dict[str, Any] = {"url": panel.url, "options": {"status_batch": batch}}
        adapter, _ = upstreams.adapt(replace(odd, **own), transport, KEYS)
        account = replace(line.provider, **own)
        lane = TrackingLane(line.tracker, adapter, account, TrackingSettings(), time.monotonic)
        began = time.monotonic()
        for second in range(60):
            await world.pool.execute(
                "update budget set counted_at = counted_at - interval '1 second'"
            )
            await lane._work()
            second += int(time.monotonic() - began)  # noqa: PLW2901 - that this takes by itself
            # Two reads may come at once; a list that is not understood may run ahead by the two
            # orders in it.
            assert len(panel.asked) <= second + (2 if batch == 1 else 4)
    several = [fields for fields in panel.asked if "orders" in fields]
    assert len(panel.asked) >= 50
    assert all(fields["orders"].count(",") == 1 for fields in several)
    assert bool(several) == (batch > 1)
