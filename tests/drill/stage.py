"""The stage of a drill: a gateway at work, its panel, and a Prometheus that watches both."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway.store.connection import Pool
from tests.bench.stage import database
from tests.conftest import eventually
from tests.drill.windows import short_rules
from tests.gateway_process import GatewayProcess
from tests.metrics.prometheus_process import PrometheusProcess
from tests.metrics.shipped import ROOT
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import MASTER_KEYS, PEPPER, World

#: The panel as the gateway knows it, and the service that is ordered.
PANEL, SERVICE = "sandbox", 1
#: A reseller who orders nothing.
QUIET = "quiet"

_ORDER_SECONDS = 0.3
_SETTINGS: dict[str, dict[str, object]] = {
    "dispatch": {"timeout_ms": 15_000, "connect_timeout_ms": 1_000, "retry_last_ms": 1_000},
    "tracking": {"balance_ms": 1_000},
    "reconcile": {"interval_ms": 500},
    "audit": {"every_ms": 1_000},
}


@dataclass(frozen=True, slots=True)
class Drill:
    """All that takes part."""

    database_url: str
    redis_url: str
    pool: Pool
    sandbox: SandboxProcess
    gateway: GatewayProcess
    prometheus: PrometheusProcess
    client: PanelClient

    async def order(self, link: str) -> int:
        """Place an order that must be accepted; its id."""
        return await self.client.add(SERVICE, 100, link)

    async def run(self, *command: str) -> str:
        """Run a command of the runbook, as an operator does; what it prints.

        Raises:
            RuntimeError: with its words, when it ends otherwise than well.
        """
        code, out, error = await self.try_to_run(*command)
        if code:
            raise RuntimeError(f"{' '.join(command)}: {error or out}")
        return out

    async def try_to_run(self, *command: str) -> tuple[int, str, str]:
        """Run a command: its exit code, and what it prints on both outputs."""
        there = {
            "SMM_DATABASE__URL": self.database_url,
            "SMM_REDIS__URL": self.redis_url,
            "SMM_SECURITY__PEPPER": PEPPER,
            "SMM_SECURITY__MASTER_KEYS": MASTER_KEYS,
            "SMM_DATA_DIR": str(self.gateway.data_dir),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *command),
            cwd=ROOT,
            env=os.environ | there,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        return process.returncode or 0, out.decode(), error.decode()

    async def open_orders(self, state: str) -> list[int]:
        """The ids of the orders in a state."""
        found = json.loads(await self.run("order", "list", "--state", state, "--json"))
        return [order["id"] for order in found]

    async def wait_firing(self, alert: str, seconds: float) -> str:
        """Wait until an alert fires; its summary. Raises TimeoutError."""

        async def fires() -> str | None:
            return (await self.prometheus.firing()).get(alert)

        summary: str = await eventually(fires, seconds=seconds, every=0.25)
        return summary

    async def wait_over(self, alert: str, seconds: float) -> None:
        """Wait until an alert does not fire any more. Raises TimeoutError."""

        async def over() -> bool:
            return alert not in await self.prometheus.firing()

        await eventually(over, seconds=seconds, every=0.25)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Drill]:
    """Everything, with a reseller who orders all the time."""
    async with AsyncExitStack() as stack:
        engines, pool = await stack.enter_async_context(database(folder))
        sandbox = await stack.enter_async_context(
            SandboxProcess(folder / "sandbox", seconds=0.5, balance="1000000")
        )
        await sandbox.control("conduct", {"order_list": True})
        world = World(pool)
        await world.sandbox(sandbox, order_list=True)
        customer = await world.reseller(funds="100000")
        await world.reseller(QUIET, funds="10")
        gateway = GatewayProcess(
            engines.database_url,
            engines.redis_url,
            folder / "gateway.log",
            workers=2,
            settings=_SETTINGS,
            start_seconds=120,
        )
        await stack.enter_async_context(gateway)
        target = gateway.internal_url.removeprefix("http://")
        watching = PrometheusProcess(folder / "prometheus", [target], short_rules())
        prometheus = await stack.enter_async_context(watching)
        client = await stack.enter_async_context(
            PanelClient(gateway.url, customer.key, patience=30)
        )
        drill = Drill(
            engines.database_url, engines.redis_url, pool, sandbox, gateway, prometheus, client
        )
        buying = asyncio.create_task(_keep_ordering(client))
        stack.callback(buying.cancel)
        yield drill


async def _keep_ordering(client: PanelClient) -> None:
    async def one(number: int) -> None:
        try:
            await client.call(
                "add", service=SERVICE, quantity=100, link=f"https://a.example/{number}"
            )
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            return  # the reseller comes again with the next order

    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            group.create_task(one(number))
            await asyncio.sleep(_ORDER_SECONDS)


async def hold_lock(url: str) -> "asyncpg.Connection[Any]":
    """A forgotten transaction that nobody can order past; it lasts as long as its connection."""
    conn: asyncpg.Connection[Any] = await asyncpg.connect(url)
    await conn.execute("begin")
    await conn.execute("lock table balance in exclusive mode")
    return conn
