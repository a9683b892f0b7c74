"""Two gateway processes with proxies before their database and their panel, to be killed at a byte.

One process answers, another sends and tracks; each has its own way to the database.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway.embedded import Addresses
from gateway.store.connection import open_pool
from schemas.money import UNIT
from tests.conftest import eventually
from tests.faults.arena import SETTINGS, START_SECONDS
from tests.faults.proxy import ChaosProxy
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

PRICE = 1_050_000  # a thousand at 0.84 and a markup of a quarter


@dataclass(frozen=True)
class Site:
    """Both processes with their proxies, one reseller, and a look at the database."""

    web: GatewayProcess
    worker: GatewayProcess
    web_database: ChaosProxy
    worker_database: ChaosProxy
    panel_proxy: ChaosProxy
    panel: SandboxProcess
    customer: Customer
    conn: "asyncpg.Connection[asyncpg.Record]"
    service: int

    async def add(self, name: str, fault: str = "", **more: object) -> int | None:
        """The id that ``add`` gives for a named order; None where there is no answer."""
        link = f"https://example.com/{name}" + (f"?sandbox={fault}" if fault else "")
        values: dict[str, Any] = {"service": self.service, "quantity": 1000, "link": link, **more}
        async with PanelClient(self.web.url, self.customer.key) as client:
            try:
                answer = await client.call("add", **values, external_id=name)
            except aiohttp.ClientError:
                return None
        assert set(answer) <= {"order"}, answer
        found: int = answer["order"]
        return found

    async def orders(self, name: str) -> list[asyncpg.Record]:
        """The orders with that link, as they are committed."""
        return await self.conn.fetch("select * from orders where link like $1", f"%/{name}%")

    async def state(self, name: str) -> tuple[str, int]:
        """The state and the refund of the one order with that link."""
        [order] = await self.orders(name)
        return order["state"], order["refunded"]

    def accepted(self, name: str) -> int:
        """How many orders with that link the panel has."""
        return sum(f"/{name}" in record["link"] for record in self.panel.accepted())

    async def killed(
        self, process: GatewayProcess, proxy: ChaosProxy, pattern: bytes, **how: Any
    ) -> None:
        """Kill the process when the pattern comes by, and drop what was held; start it again."""
        trap = proxy.trap(pattern, lambda link: link.hold(), **how)
        try:
            await trap.wait(30)
            await process.kill()
        finally:
            trap.disarm()
            proxy.traps.remove(trap)
            proxy.cut()
        await process.start()

    async def comes_to(self, name: str, state: str) -> None:
        """Wait until the order is in that state."""

        async def there() -> bool:
            return (await self.state(name))[0] == state

        await eventually(there, seconds=60, every=0.1)

    async def assert_paid(self, orders: int) -> None:
        """So many orders were paid and not given back."""
        spent = await self.conn.fetchval("select $1 - amount from balance", 1000 * UNIT)
        assert spent == orders * PRICE


@asynccontextmanager
async def open_site(
    engines: Addresses, database_url: str, sandbox: SandboxProcess, folder: Path
) -> AsyncIterator[Site]:
    """Everything up, with settings that decide quickly."""
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(ChaosProxy.before(url))
            for url in (database_url, database_url, sandbox.url)
        ]
        pool = await open_pool(database_url, size=2)
        world = World(pool)
        await world.sandbox(sandbox)
        customer = await world.reseller(funds="1000")
        await pool.close()
        conn = await asyncpg.connect(database_url)
        stack.push_async_callback(conn.close)
        await conn.execute("update provider set url = $1", proxies[2].through(sandbox.url))
        service = await conn.fetchval("select service_id from route where upstream_service = '101'")
        ways = dict(zip(("web", "worker"), proxies, strict=False))
        started = {
            role: await stack.enter_async_context(
                GatewayProcess(
                    proxy.through(database_url),
                    engines.redis_url,
                    folder / f"{role}.log",
                    settings=SETTINGS,
                    role=role,
                    start_seconds=START_SECONDS,
                )
            )
            for role, proxy in ways.items()
        }
        yield Site(
            web=started["web"],
            worker=started["worker"],
            web_database=proxies[0],
            worker_database=proxies[1],
            panel_proxy=proxies[2],
            panel=sandbox,
            customer=customer,
            conn=conn,
            service=service,
        )
