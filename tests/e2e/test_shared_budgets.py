"""The budget of an account holds over all processes; panels with clocks of their own count."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.embedded import Addresses
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.world import World

ORDERS = 30
ADDS, READS = 600, 150  # a minute


@dataclass
class CountingPanel:
    """A panel that takes ``seconds`` for an order, and notes when it was asked for what."""

    seconds: float = 0.0
    url: str = ""
    together: int = 0
    most_together: int = 0
    adds: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        fields = await request.post()
        if fields["action"] == "add":
            return await self._add(str(fields["link"]))
        self.reads.append(time.monotonic())
        if fields["action"] == "balance":
            return web.json_response({"balance": "1000", "currency": "USD"})
        status = {"status": "In progress", "charge": "0.1", "start_count": "1", "remains": "9"}
        if "order" in fields:
            return web.json_response(status)
        ids = str(fields["orders"]).split(",")
        return web.json_response(dict.fromkeys(ids, status))

    async def _add(self, link: str) -> web.Response:
        self.adds.append(time.monotonic())
        self.links.append(link)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        await asyncio.sleep(self.seconds)
        self.together -= 1
        return web.json_response({"order": next(self._numbers)})


@asynccontextmanager
async def serving(panel: CountingPanel) -> AsyncIterator[CountingPanel]:
    """The panel on a free port; its ``url`` is set."""
    application = web.Application()
    application.router.add_post("/api/v2", panel.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        panel.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v2"
        yield panel
    finally:
        await runner.cleanup()


def _per_minute(times: list[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0]) * 60


async def test_three_processes_spend_the_budget_of_one(
    world: World, engines: Addresses, database_url: str, tmp_path: Path
) -> None:
    gateway = GatewayProcess(
        database_url,
        engines.redis_url,
        tmp_path / "gateway.log",
        workers=3,
        # Every running order is always due to be asked for.
        settings={"tracking": {"first_ms": 10, "last_ms": 10}, "database": {"pool_size": 5}},
        start_seconds=60,
    )
    customer = await world.reseller()
    async with serving(CountingPanel(0.05)) as narrow, serving(CountingPanel()) as paced:
        narrows = await world.provider(narrow.url, name="narrow", in_flight=1)
        paces = await world.provider(
            paced.url,
            name="paced",
            in_flight=2,
            adds_per_minute=ADDS,
            reads_per_minute=READS,
        )
        services = [await world.service(one) for one in (narrows, paces)]
        async with gateway, PanelClient(gateway.url, customer.key) as client:
            await asyncio.gather(
                *(
                    client.add(service, link=f"https://a.example/{service}/{n}")
                    for service in services
                    for n in range(ORDERS)
                )
            )

            async def all_sent() -> bool:
                return len(narrow.adds) == len(paced.adds) == ORDERS

            async def read_often() -> bool:
                return len(paced.reads) > ORDERS

            await eventually(all_sent, seconds=120)
            await eventually(read_often, seconds=120)
            sent_by = await _senders(gateway)
    assert sent_by > 1
    assert narrow.most_together == 1, "sent at the same time"
    assert len(set(narrow.links)) == len(set(paced.links)) == ORDERS
    # The first two may come at once, and a slow machine may shorten a gap; three budgets would be
    # thrice as fast.
    assert _per_minute(paced.adds) < ADDS * 1.5
    assert _per_minute(paced.reads) < READS * 1.5, "read too often"
    await world.assert_sound()


async def _senders(gateway: GatewayProcess) -> int:
    """How many of the workers have sent orders."""
    found = 0
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{gateway.internal_url}/workers") as answer:
            targets = await answer.json()
        for one in targets:
            async with session.get(f"http://{one['targets'][0]}/metrics") as answer:
                found += "smm_attempts_total{" in await answer.text()
    return found
