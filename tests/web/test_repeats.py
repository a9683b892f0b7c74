"""Blind retries: the same order again, from clients that name nothing.

What decides is whether the first answer reached its client, so these clients close connections at
chosen moments, and gateways are killed between a commit and its answer.
"""

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from prometheus_client import REGISTRY
from yarl import URL

from gateway.embedded import Addresses
from gateway.store.connection import transaction
from tests.application_role import as_application
from tests.conftest import OpenGateway, eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.world import Customer, World

NOBODY = "http://127.0.0.1:9/api/v2"
LINK = "https://a.example/again"


@pytest.fixture
def another(engines: Addresses, database_url: str, tmp_path: Path) -> GatewayProcess:
    """A second process of the same gateway, to be started: it shares the database, no memory."""
    return GatewayProcess(as_application(database_url), engines.redis_url, tmp_path / "another.log")


async def order(url: str, customer: Customer, service: int, link: str = LINK) -> tuple[int, bool]:
    """The id that an ``add`` is answered with, and whether it is marked as a repetition."""
    fields = {"key": customer.key, "action": "add", "service": service, "link": link}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=fields | {"quantity": 100}) as answer,
    ):
        number: int = (await answer.json())["order"]
        return number, answer.headers.get("Idempotent-Replayed") == "true"


async def orders_of(world: World, customer: Customer) -> list[int]:
    """The reseller's orders."""
    async with world.pool.acquire() as conn:
        rows = await conn.fetch(
            "select id from orders where reseller_id = $1 order by id", customer.id
        )
    return [row["id"] for row in rows]


async def lose_an_answer(world: World, url: str, customer: Customer, service: int) -> int:
    """Place an order, and close the connection before it can be answered; the order's id."""
    fields = {"key": customer.key, "action": "add", "service": service, "link": LINK}
    body = urlencode(fields | {"quantity": 100})
    before = await orders_of(world, customer)
    async with world.pool.acquire() as conn, transaction(conn):
        # As long as this is open, the order waits for its commit.
        await conn.execute("select 1 from balance where reseller_id = $1 for update", customer.id)
        _, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
        head = f"POST /api/v2 HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())

        async def waiting() -> int:
            found: int = await world.pool.fetchval(
                """select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'"""
            )
            return found

        await eventually(waiting)
        writer.close()
        await writer.wait_closed()
        async with PanelClient(url, customer.key) as client:
            await client.call("services")  # what came before it has been seen, too

    async def placed() -> set[int]:
        return {*await orders_of(world, customer)} - {*before}

    [number] = await eventually(placed)
    return int(number)


async def test_identical_orders_whose_answers_arrived_are_orders_of_their_own(
    world: World, open_gateway: OpenGateway
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    async with open_gateway() as gateway, PanelClient(gateway.api_url, customer.key) as client:
        numbers = [await client.add(service, link=LINK) for _ in range(5)]
        before = REGISTRY.get_sample_value("smm_adds_total", {"outcome": "refused"})
        together = await asyncio.gather(*(client.add(service, link=LINK) for _ in range(40)))
        # Those that waited for their turn were not refused.
        assert REGISTRY.get_sample_value("smm_adds_total", {"outcome": "refused"}) == before
    assert len({*numbers, *together}) == 45
    await world.assert_sound()


async def test_an_order_whose_answer_was_lost_is_found_again_by_the_retry(
    world: World, open_gateway: OpenGateway
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    async with open_gateway() as gateway:
        lost = await lose_an_answer(world, gateway.api_url, customer, service)
        assert await order(gateway.api_url, customer, service) == (lost, True)
        # The client has its answer now: one more is one more.
        again, repeated = await order(gateway.api_url, customer, service)
        assert again != lost
        assert not repeated
    assert len(await orders_of(world, customer)) == 2
    await world.assert_sound()


@pytest.mark.parametrize(
    "changed",
    [
        "update service set enabled = false, disabled_reason = 'gone'",
        "update service set minimum = 5000",
    ],
    ids=["off", "other limits"],
)
async def test_a_retry_finds_its_order_whatever_became_of_the_service(
    world: World, open_gateway: OpenGateway, changed: str
) -> None:
    """A client that hears a refusal takes its order for not placed, and places it elsewhere."""
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    async with open_gateway() as gateway, PanelClient(gateway.api_url, customer.key) as client:
        fields = {"service": service, "link": LINK + "/new", "quantity": 100}
        lost = await lose_an_answer(world, gateway.api_url, customer, service)
        await world.pool.execute(changed)

        async def refused() -> bool:
            return "error" in await client.call("add", **fields)

        await eventually(refused)
        placed = await orders_of(world, customer)
        assert await order(gateway.api_url, customer, service) == (lost, True)
        # The client has its answer now: one more is one more, and refused.
        assert "error" in await client.call("add", **fields | {"link": LINK})
        assert await orders_of(world, customer) == placed
    await world.assert_sound()


async def test_other_orders_are_no_repetition_of_a_lost_one(
    world: World, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(NOBODY)
    service = await world.service(provider)
    other = await world.service(provider, upstream_service="2")
    customer, rival = await world.reseller(), await world.reseller("rival")
    async with open_gateway() as gateway:
        await lose_an_answer(world, gateway.api_url, customer, service)
        url = gateway.api_url
        answers = [
            await order(url, rival, service),
            await order(url, customer, other),
            await order(url, customer, service, LINK + "/2"),
        ]
        async with PanelClient(url, customer.key) as client:
            answers.append((await client.add(service, 200, LINK), False))
    assert not any(repeated for _, repeated in answers)
    assert len(await orders_of(world, customer)) == 4


@pytest.mark.parametrize("ended", ["completed", "canceled"])
async def test_a_lost_order_that_has_ended_is_not_given_again(
    world: World, open_gateway: OpenGateway, ended: str
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    async with open_gateway(dispatch={"idle_ms": 60_000}) as gateway:
        lost = await lose_an_answer(world, gateway.api_url, customer, service)
        await world.pool.execute("update orders set state = $2 where id = $1", lost, ended)
        again, repeated = await order(gateway.api_url, customer, service)
        assert again != lost
        assert not repeated


async def test_after_a_kill_a_retry_finds_its_order_and_what_was_answered_is_not_merged(
    world: World, engines: Addresses, database_url: str, tmp_path: Path
) -> None:
    """The next process remembers nothing, so the database has to."""
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    gateway = GatewayProcess(as_application(database_url), engines.redis_url, tmp_path / "log")
    async with gateway:
        answered, _ = await order(gateway.url, customer, service, LINK + "/answered")

        async def written_down() -> bool:
            left = await world.pool.fetchval("select count(*) from unreceived")
            return bool(left == 0)

        await eventually(written_down)
        lost = await lose_an_answer(world, gateway.url, customer, service)
        await gateway.restart()
        assert await order(gateway.url, customer, service) == (lost, True)
        second, repeated = await order(gateway.url, customer, service, LINK + "/answered")
        assert second != answered
        assert not repeated
    await world.assert_sound()


async def test_a_retry_at_another_process_gets_the_lost_order_too(
    world: World, open_gateway: OpenGateway, another: GatewayProcess
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    async with open_gateway() as first, another:
        lost = await lose_an_answer(world, first.api_url, customer, service)
        assert await order(another.url, customer, service) == (lost, True)
    assert await orders_of(world, customer) == [lost]
    await world.assert_sound()


async def test_a_reseller_may_want_every_repetition_as_an_order(
    world: World, open_gateway: OpenGateway
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    await world.pool.execute("update reseller set duplicates = 'allow'")
    async with open_gateway() as gateway:
        await lose_an_answer(world, gateway.api_url, customer, service)
        await order(gateway.api_url, customer, service)
    assert len(await orders_of(world, customer)) == 2
    assert await world.pool.fetchval("select count(*) from unreceived") == 0


async def test_a_reseller_may_refuse_a_second_order_on_an_active_link(
    world: World, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(NOBODY)
    service = await world.service(provider)
    other = await world.service(provider, upstream_service="2")
    customer = await world.reseller()
    await world.pool.execute("update reseller set duplicates = 'reject_active_link'")
    refused = {
        "error": "You have active order with this link. Please wait until order being completed."
    }
    again = {"service": service, "link": LINK, "quantity": 200}
    async with open_gateway() as gateway, PanelClient(gateway.api_url, customer.key) as client:
        first = await client.add(service, link=LINK)
        together = await asyncio.gather(*(client.call("add", **again) for _ in range(3)))
        assert together == [refused] * 3
        await client.add(service, link=LINK + "/2")
        await client.add(other, link=LINK)
        await world.pool.execute("update orders set state = 'completed' where id = $1", first)
        await client.add(service, link=LINK)
        assert await client.call("add", **again) == refused


async def test_of_many_at_once_on_one_link_exactly_one_is_taken_where_that_is_wanted(
    world: World, open_gateway: OpenGateway, another: GatewayProcess
) -> None:
    service = await world.service(await world.provider(NOBODY))
    customer = await world.reseller()
    await world.pool.execute("update reseller set duplicates = 'reject_active_link'")
    fields = {"service": service, "link": LINK, "quantity": 100}
    async with (
        another,
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as here,
        PanelClient(another.url, customer.key) as there,
    ):
        calls = [client.call("add", **fields) for client in [here, there] * 20]
        answers = await asyncio.gather(*calls)
    assert sum("order" in answer for answer in answers) == 1
    assert len(await orders_of(world, customer)) == 1
