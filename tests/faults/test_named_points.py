"""C03: ``kill -9`` at named points, which a proxy finds by the bytes that go by.

One process answers, another sends and tracks; each has its own way to the database. Bytes of one
moment are held, the process is killed, and what it leaves is the class that the point must have.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool
from schemas.money import UNIT
from tests.conftest import eventually
from tests.faults.arena import SETTINGS, START_SECONDS
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Toward
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

#: ``POINTS=200`` kills so often at each point.
POINTS = int(os.environ.get("POINTS", "1"))
PRICE = 1_050_000  # a thousand at 0.84 and a markup of a quarter
#: Words of the statements that a connection has parsed before the COMMIT that is meant.
_ORDERS, _ATTEMPTS, _RESULTS, _ENTRIES = (
    b"insert into orders",
    b"insert into attempt",
    b"update attempt a",
    b"insert into entry",
)


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

    async def add(self, name: str, fault: str = "") -> int | None:
        """The id that ``add`` gives for a named order; None where there is no answer."""
        link = f"https://example.com/{name}" + (f"?sandbox={fault}" if fault else "")
        values: dict[str, Any] = {"service": self.service, "quantity": 1000, "link": link}
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


@pytest.fixture
async def site(
    engines: Addresses, database_url: str, sandbox: SandboxProcess, tmp_path: Path
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
                    tmp_path / f"{role}.log",
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


async def _asked(site: Site, name: str, fault: str = "") -> "asyncio.Task[int | None]":
    """An order that is on its way."""
    return asyncio.create_task(site.add(name, fault))


async def test_killed_after_the_debit_before_its_commit(site: Site) -> None:
    """Nothing was kept, and the client's repetition is the one order."""
    for turn in range(POINTS):
        name = f"debit-{turn}"
        asking = await _asked(site, name)
        await site.killed(site.web, site.web_database, COMMIT, after=_ORDERS)
        assert await asking is None
        assert await site.orders(name) == []
        await site.assert_paid(turn)
        given = await site.add(name)
        assert [order["id"] for order in await site.orders(name)] == [given]
        await site.assert_paid(turn + 1)


async def test_killed_after_the_commit_before_the_answer(site: Site) -> None:
    """The order stands, and the client's repetition is given it."""
    for turn in range(POINTS):
        name = f"commit-{turn}"
        asking = await _asked(site, name)
        await site.killed(
            site.web, site.web_database, COMMITTED, toward=Toward.CLIENT, after=_ORDERS
        )
        assert await asking is None
        [order] = await site.orders(name)
        assert await site.add(name) == order["id"]
        assert len(await site.orders(name)) == 1
        await site.assert_paid(turn + 1)


async def test_killed_after_the_intent(site: Site) -> None:
    """Nothing was sent, and nobody can know: the order is frozen and never sent by a guess."""
    await _frozen_at(
        site,
        "intent",
        site.worker_database,
        COMMITTED,
        0,
        toward=Toward.CLIENT,
        after=_ATTEMPTS,
    )


async def test_killed_while_the_request_is_on_its_way(site: Site) -> None:
    """Bytes have left, the panel has not read them."""
    await _frozen_at(site, "bytes", site.panel_proxy, b"action=add", 0)


async def test_killed_before_the_answer_arrives(site: Site) -> None:
    """The panel has the order, its answer is on the way."""
    await _frozen_at(site, "answer", site.panel_proxy, b'{"order":', 1, toward=Toward.CLIENT)


async def test_killed_after_the_answer_before_its_record(site: Site) -> None:
    """The panel has named the order, and the name is not written down."""
    await _frozen_at(site, "record", site.worker_database, COMMIT, 1, after=_RESULTS)


async def _frozen_at(
    site: Site, point: str, proxy: ChaosProxy, pattern: bytes, upstream: int, **how: Any
) -> None:
    for turn in range(POINTS):
        name = f"{point}-{turn}"
        asking = await _asked(site, name, "stall")
        await site.killed(site.worker, proxy, pattern, **how)
        await asking
        await site.comes_to(name, "unknown")
        assert await site.state(name) == ("unknown", 0)
        assert site.accepted(name) == upstream
    await site.assert_paid(POINTS)


async def test_killed_after_the_record_is_committed(site: Site) -> None:
    """It is written down: nothing is in doubt."""
    for turn in range(POINTS):
        name = f"recorded-{turn}"
        asking = await _asked(site, name, "stall")
        await site.killed(
            site.worker, site.worker_database, COMMITTED, toward=Toward.CLIENT, after=_RESULTS
        )
        await asking
        assert (await site.state(name))[0] in ("placed", "in_progress")
        assert site.accepted(name) == 1


@pytest.mark.parametrize("committed", [False, True])
async def test_killed_inside_a_refund(site: Site, *, committed: bool) -> None:
    """The refund is paid once, by the killed process or by the next one."""
    for turn in range(POINTS):
        name = f"refund-{turn}"
        await site.add(name, "cancel")
        await site.comes_to(name, "placed")
        how = {"toward": Toward.CLIENT} if committed else {}
        # Only a refund writes entries in this process.
        killing = asyncio.create_task(
            site.killed(
                site.worker,
                site.worker_database,
                COMMITTED if committed else COMMIT,
                after=_ENTRIES,
                **how,
            )
        )
        await asyncio.sleep(0)
        await site.panel.control("advance", {"work": 1})
        await killing
        await site.comes_to(name, "canceled")
        assert await site.state(name) == ("canceled", PRICE)
        await site.assert_paid(0)
