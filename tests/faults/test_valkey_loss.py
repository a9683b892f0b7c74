"""Valkey killed, emptied, filled, frozen or spoilt under load: no money, no order, no outage."""

import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from gateway.app import Gateway
from gateway.config import load_settings
from gateway.store.connection import Pool
from tests.conftest import eventually
from tests.faults.journal import Add, Journal, Outcome
from tests.faults.load import Caller, Load, Offer
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.valkey_process import ValkeyProcess
from tests.world import SECURITY, Customer, World

_NOBODY = "redis://127.0.0.1:9/0"
_MORE = 15


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the server, how it ends, and whether the server is lost meanwhile."""

    begin: Callable[[], Awaitable[object]]
    end: Callable[[], Awaitable[object]]
    loses: bool


async def test_whatever_happens_to_valkey_orders_and_reads_go_on(
    database_url: str, pool: Pool, world: World, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key)
    service = await world.service(provider, upstream_service="101")
    customers = [await world.reseller(f"buyer {n}", funds="100000") for n in range(4)]
    offer, seed = Offer(service, 50), secrets.randbits(32)
    async with (
        ValkeyProcess(tmp_path / "valkey") as valkey,
        GatewayProcess(database_url, valkey.url, tmp_path / "gateway.log") as gateway,
    ):
        callers = [Caller(customer) for customer in customers]
        load = Load(
            [gateway.url],
            callers,
            offer,
            Journal(),
            seed=seed,
            most=100_000,
            longest_thought=0.05,
        )
        async with load:
            load.go()
            losses = 0
            await _goes_on(gateway, customers, load)
            for fault in _faults(valkey):
                await fault.begin()
                losses += fault.loses
                await eventually(partial(_told, gateway, "limits.lost", losses))
                await _goes_on(gateway, customers, load)
                await fault.end()
                await eventually(partial(_told, gateway, "limits.found", losses))
            await _goes_on(gateway, customers, load)
        await eventually(partial(_nothing_waits, pool))
        # Once for each loss, however many calls it met.
        assert _events(gateway)["limits.lost"] == losses == 3, f"seed {seed}"
        assert _events(gateway)["wakeups.lost"] in (1, 2), f"seed {seed}"
    assert not any(add.outcome is Outcome.UNKNOWN for add in load.adds), f"seed {seed}"
    told = {add.order_id: add.link for add in load.adds if add.outcome is Outcome.OK}
    kept = {row["id"]: row["link"] for row in await pool.fetch("select id, link from orders")}
    assert told == kept, f"seed {seed}"
    accepted = Counter(line["link"] for line in sandbox.accepted())
    assert set(accepted) <= set(kept.values())
    assert set(accepted.values()) == {1}
    await world.assert_sound()


async def test_without_any_valkey_calls_and_wrong_keys_are_limited_more_strictly(
    database_url: str, world: World
) -> None:
    customer = await world.reseller()
    limits = {"requests_per_second": 1, "burst": 10, "wrong_keys_per_minute": 20}
    settings = load_settings(security=SECURITY, http={"port": 0}, limits=limits)
    gateway = Gateway(settings, database_url, _NOBODY)
    async with (
        gateway,
        PanelClient(gateway.api_url, customer.key) as client,
        PanelClient(gateway.api_url, "a wrong key") as stranger,
    ):
        # The first calls are answered on credit, until it is known that nobody leases anything.
        await eventually(partial(_halved, client))
        answers = [(await client.raw("balance"))[0] for _ in range(10)]
        assert answers.count(200) <= 6
        assert answers.count(429) >= 4
        told = [(await stranger.raw("balance"))[0] for _ in range(30)]
        assert told.count(200) <= 10 + 5
        assert told[-1] == 429


async def _halved(client: PanelClient) -> bool:
    form = {"key": client.key, "action": "balance"}
    async with aiohttp.ClientSession() as session, session.post(client.url, data=form) as answer:
        return answer.headers["X-RateLimit-Limit"] == "5"


def _faults(valkey: ValkeyProcess) -> list[Fault]:
    async def freeze() -> None:
        valkey.freeze()

    async def thaw() -> None:
        valkey.thaw()

    async def spoil() -> None:
        for key in await valkey.client.keys("smm:*"):
            await valkey.client.delete(key)
            await valkey.client.rpush(key, "not a number")

    async def nothing() -> None:
        pass

    return [
        Fault(valkey.kill, valkey.start, loses=True),
        Fault(valkey.client.flushall, nothing, loses=False),
        Fault(
            partial(valkey.client.config_set, "maxmemory", "1"),
            partial(valkey.client.config_set, "maxmemory", "0"),
            loses=True,
        ),
        Fault(freeze, thaw, loses=True),
        Fault(spoil, nothing, loses=False),
    ]


async def _goes_on(gateway: GatewayProcess, customers: list[Customer], load: Load) -> None:
    """Questions are answered and orders are taken."""
    async with PanelClient(gateway.url, customers[0].key) as client:
        for question in ("balance", "services"):
            status, said = await client.raw(question)
            assert status == 200, f"{question} is refused: {said!r}"

    def placed() -> list[Add]:
        return [add for add in load.adds if add.outcome is Outcome.OK]

    before = len(placed())

    async def more() -> bool:
        return len(placed()) > before + _MORE

    await eventually(more, seconds=60)
    order = placed()[-1]
    owner = next(customer for customer in customers if customer.id == order.reseller_id)
    async with PanelClient(gateway.url, owner.key) as client:
        assert "status" in await client.call("status", order=order.order_id)


def _events(gateway: GatewayProcess) -> Counter[str]:
    lines = gateway.log_text().splitlines()
    return Counter(json.loads(line)["event"] for line in lines if line.startswith("{"))


async def _told(gateway: GatewayProcess, event: str, times: int) -> bool:
    return _events(gateway)[event] == times


async def _nothing_waits(pool: Pool) -> bool:
    moving = "select count(*) from orders where state in ('queued', 'sending')"
    return bool(await pool.fetchval(moving) == 0)
