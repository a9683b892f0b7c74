"""What changes under the API's feet: keys that end, money just spent, a database that goes away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import Addresses
from tests.application_role import as_application
from tests.conftest import OpenGateway, eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.web.desk import Desk, Request, form
from tests.world import World

TEMPORARY = (
    b'{"error":"Temporary error. Repeat with the same external_id, '
    b'or check its status before sending again"}'
)
NOBODY = "http://127.0.0.1:9/api/v2"


async def test_a_key_that_was_never_used_is_refused_as_soon_as_it_is_revoked(desk: Desk) -> None:
    gone = await desk.world.reseller("leaves at once")
    await _revoke(desk, gone.id)
    request = Request(form({"key": gone.key, "action": "balance"}))
    await desk.assert_refused(request, "Invalid API key")


async def test_a_key_in_use_is_refused_soon_after_it_is_revoked(desk: Desk) -> None:
    gone = await desk.world.reseller("leaves later")
    stays = Request(form({"key": "$KEY", "action": "services"}))
    request = Request(form({"key": gone.key, "action": "services"}))
    assert (await desk.ask(request)).body == (await desk.ask(stays)).body
    await _revoke(desk, gone.id)

    async def refused() -> bool:
        return (await desk.ask(request)).body == b'{"error":"Invalid API key"}'

    await eventually(refused)
    await desk.assert_refused(request, "Invalid API key")


async def _revoke(desk: Desk, reseller_id: int) -> None:
    await desk.pool.execute(
        "update api_key set revoked_at = now() where reseller_id = $1", reseller_id
    )


async def test_whoever_has_an_answer_sees_its_order_and_its_price_at_once(
    world: World, open_gateway: OpenGateway
) -> None:
    """Each of many buyers asks for balance and status the moment that its ``add`` is answered."""
    service = await world.service(await world.provider(NOBODY))
    buyers = [await world.reseller(f"buyer {n}", funds="1") for n in range(12)]

    async def buy(url: str, key: str) -> None:
        async with PanelClient(url, key) as client:
            for number in range(1, 11):
                order = await client.add(service, 100)
                balance, status = await asyncio.gather(
                    client.call("balance"), client.call("status", order=order)
                )
                assert balance["balance"] == f"{1 - 0.09 * number:.2f}"
                assert status["charge"] == "0.09"

    async with open_gateway() as gateway:
        await asyncio.gather(*(buy(gateway.api_url, buyer.key) for buyer in buyers))
    await world.assert_sound()


@pytest.fixture
async def operator(
    engines: Addresses,
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection beside the gateway's database."""
    conn = await asyncpg.connect(engines.database_url)
    yield conn
    await conn.close()


@asynccontextmanager
async def _without_database(
    operator: "asyncpg.Connection[asyncpg.Record]", name: str
) -> AsyncIterator[None]:
    await operator.execute(f"alter database {name} allow_connections false")
    await operator.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
    )
    try:
        yield
    finally:
        await operator.execute(f"alter database {name} allow_connections true")


async def test_without_its_database_it_says_come_again_and_never_a_refusal(
    world: World,
    operator: "asyncpg.Connection[asyncpg.Record]",
    engines: Addresses,
    database_url: str,
    tmp_path: Path,
) -> None:
    """And it answers as before when the database is back, with nothing written meanwhile."""
    service = await world.service(await world.provider(NOBODY))
    customer, stranger = await world.reseller("acme"), await world.reseller("rival")
    name = await world.pool.fetchval("select current_database()")
    order = {"service": service, "link": "https://a.example/", "quantity": 100}
    async with (
        GatewayProcess(
            as_application(database_url), engines.redis_url, tmp_path / "log"
        ) as gateway,
        PanelClient(gateway.url, customer.key) as client,
        PanelClient(gateway.url, stranger.key) as unknown,
    ):
        first = await client.add(service)
        async with _without_database(operator, name):
            for action, fields in (("add", order), ("balance", {}), ("status", {"order": first})):
                for who in (client, unknown):
                    status, body = await who.raw(action, **fields)
                    assert (status, body) == (503, TEMPORARY), action

        async def back() -> bool:
            return (await client.raw("balance"))[0] == 200

        await eventually(back)
        assert await client.call("balance") == {"balance": "99.91", "currency": "USD"}
        await client.add(service)
        printed = gateway.log_text()
    assert customer.key not in printed
    assert stranger.key not in printed
    assert '"level": "error"' in printed
