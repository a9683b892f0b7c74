"""A doubtful COMMIT as clients, operators and the next process meet it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.embedded import Addresses
from schemas.panel_v2 import TEMPORARY
from tests.cli.command import Command, Forks
from tests.conftest import eventually
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Link, Toward
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import MASTER_KEYS, PEPPER, World

_LINK = "https://doubt.example/http"
NOBODY = "http://127.0.0.1:9/api/v2"


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[ChaosProxy]:
    """A proxy before the test's database."""
    async with ChaosProxy.before(database_url) as opened:
        yield opened


@pytest.fixture
def process(
    engines: Addresses, database_url: str, proxy: ChaosProxy, tmp_path: Path
) -> GatewayProcess:
    """A gateway that reaches its database through the proxy and holds clients for a second."""
    settings = {"intake": {"hold_ms": 1000}, "dispatch": {"timeout_ms": 1500}}
    settings["dispatch"]["connect_timeout_ms"] = 500
    return GatewayProcess(
        proxy.through(database_url), engines.redis_url, tmp_path / "gateway.log", settings=settings
    )


async def _orders(world: World) -> list[int]:
    async with world.pool.acquire() as conn:
        return [row[0] for row in await conn.fetch("select id from orders order by id")]


@pytest.mark.parametrize("name", [{}, {"external_id": "shop-1"}], ids=["blind", "named"])
async def test_a_client_that_is_told_to_come_again_gets_its_one_order(
    process: GatewayProcess, proxy: ChaosProxy, world: World, name: dict[str, str]
) -> None:
    customer = await world.reseller()
    service = await world.service(await world.provider(NOBODY))
    async with world.pool.acquire() as conn:
        await conn.execute("update reseller set duplicates = 'safe_retry'")
    add = {"service": service, "link": _LINK, "quantity": 100, **name}
    async with process, PanelClient(process.url, customer.key) as client:
        proxy.trap(COMMIT, lambda _: proxy.swallow(), passes=True, after=_LINK.encode())
        status, body = await client.raw("add", **add)
        assert (status, json.loads(body)) == (503, {"error": TEMPORARY})
        proxy.heal()
        [order] = await _orders(world)

        async def answered() -> object:
            return (await client.call("add", **add)).get("order")

        assert await eventually(answered) == order
        if name:
            assert "status" in await client.call("status", external_id="shop-1")
        assert await _orders(world) == [order]

        async def resolved() -> bool:
            return "intake.doubt_resolved" in process.log_text()

        await eventually(resolved)
        [line] = [
            json.loads(line)
            for line in process.log_text().splitlines()
            if "intake.doubt_resolved" in line
        ]
        assert (line["order_id"], line["became"]) == (order, "placed")
        assert _LINK not in process.log_text()
    assert list((process.data_dir / "spool").glob("*.jsonl")) == []
    await world.assert_sound()


async def test_a_client_that_leaves_during_a_doubt_gets_the_order_when_it_comes_again(
    process: GatewayProcess, proxy: ChaosProxy, world: World
) -> None:
    customer = await world.reseller()
    service = await world.service(await world.provider(NOBODY))
    async with world.pool.acquire() as conn:
        await conn.execute("update reseller set duplicates = 'safe_retry'")
    process.settings["intake"]["hold_ms"] = 25_000
    add = {"service": service, "link": _LINK, "quantity": 100}
    async with process:
        trap = proxy.trap(COMMITTED, Link.hold, toward=Toward.CLIENT, after=_LINK.encode())
        async with PanelClient(process.url, customer.key) as client:
            leaving = asyncio.create_task(client.raw("add", **add))
            await trap.wait()
            leaving.cancel()
            await asyncio.wait([leaving])
        proxy.cut()
        async with PanelClient(process.url, customer.key) as client:
            again = await client.call("add", **add)
    assert [again["order"]] == await _orders(world)
    await world.assert_sound()


async def test_an_answer_of_an_upstream_outlives_a_kill_while_the_database_is_away(
    process: GatewayProcess,
    proxy: ChaosProxy,
    world: World,
    sandbox: SandboxProcess,
) -> None:
    customer = await world.reseller()
    provider = await world.provider(sandbox.url, sandbox.key)
    service = await world.service(provider, upstream_service="101")
    spool = process.data_dir / "spool"
    async with process, PanelClient(process.url, customer.key) as client:
        await sandbox.control("conduct", {"latency_after_ms": 500})
        order = await client.add(service, link=_LINK)

        async def accepted() -> bool:
            return bool(sandbox.accepted())

        await eventually(accepted)
        proxy.refuse()
        proxy.reset()

        async def spooled() -> bool:
            return any(file.stat().st_size for file in spool.glob("*.jsonl"))

        await eventually(spooled)
        await process.kill()
        proxy.heal()
        await process.start()

        async def recorded() -> bool:
            async with world.pool.acquire() as conn:
                state = await conn.fetchval("select state from orders where id = $1", order)
            return state not in ("sending", "unknown")

        await eventually(recorded)
        async with world.pool.acquire() as conn:
            row = await conn.fetchrow("select upstream_id from orders where id = $1", order)
        assert row is not None
        [taken] = sandbox.accepted()
        assert row["upstream_id"] == str(taken["order"])
    assert list(spool.glob("*.jsonl")) == []
    await world.assert_sound()


async def test_a_credit_whose_commit_got_no_answer_is_done_again_and_given_once(
    engines: Addresses, database_url: str, proxy: ChaosProxy, world: World, tmp_path: Path
) -> None:
    customer = await world.reseller(funds="5")
    async with Forks() as forks:
        command = Command(
            tmp_path,
            {
                "SMM_DATABASE__URL": proxy.through(database_url),
                "SMM_REDIS__URL": engines.redis_url,
                "SMM_SECURITY__PEPPER": PEPPER,
                "SMM_SECURITY__MASTER_KEYS": MASTER_KEYS,
            },
            forks,
        )
        proxy.trap(COMMITTED, Link.cut, toward=Toward.CLIENT)
        done = await command.run("reseller", "credit", customer.name, "7", "--reason", "paid")
    assert done.code == 0, done
    assert await world.balance(customer) == 12_000_000
    await world.assert_sound()


async def test_a_database_that_goes_away_in_a_doubt_and_comes_back_keeps_one_order(
    process: GatewayProcess, proxy: ChaosProxy, world: World
) -> None:
    customer = await world.reseller()
    service = await world.service(await world.provider(NOBODY))
    process.settings["intake"]["hold_ms"] = 25_000
    async with process, PanelClient(process.url, customer.key) as client:
        trap = proxy.trap(COMMIT, Link.reset, passes=True, after=_LINK.encode())
        adding = asyncio.create_task(client.add(service, link=_LINK))
        await trap.wait()
        # Every connection breaks, and for a while none is taken.
        proxy.refuse()
        proxy.reset()

        async def looked_again() -> bool:
            return "intake.still_in_doubt" in process.log_text()

        await eventually(looked_again)
        proxy.heal()
        assert [await adding] == await _orders(world)
    await world.assert_sound()
