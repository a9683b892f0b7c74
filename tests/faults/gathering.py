"""What every run under load needs: something to sell, an end, and the evidence that is left."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from gateway.store.connection import open_pool
from schemas.money import parse_amount
from tests.conftest import eventually
from tests.faults.evidence import Evidence
from tests.faults.judging import evidence_of
from tests.faults.load import Load, Offer
from tests.faults.windows import Connection
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

FUNDS = {"acme": "100000", "poor": "1"}


async def come_to_rest(conn: Connection, panel: SandboxProcess) -> None:
    """Wait until every lease is over and every order is sent, or frozen."""
    await panel.control("conduct", {"latency_before_ms": 0, "latency_after_ms": 0})

    async def at_rest() -> bool:
        moving = "select count(*) from orders where state in ('queued', 'sending')"
        return bool(await conn.fetchval(moving) == 0)

    await eventually(at_rest, seconds=60, every=0.2)


async def furnish(database_url: str, panel: SandboxProcess) -> list[Customer]:
    """Sell what the panel offers, to customers with these funds."""
    pool = await open_pool(database_url, size=4)
    try:
        world = World(pool)
        await world.sandbox(panel)
        return [await world.reseller(name, funds=funds) for name, funds in FUNDS.items()]
    finally:
        await pool.close()


async def offer(gateway: GatewayProcess, customer: Customer) -> Offer:
    """A service that takes small orders."""
    async with PanelClient(gateway.url, customer.key) as client:
        listed = await client.call("services")
    service = next(s for s in listed if s["type"] == "Default" and int(s["min"]) in range(10, 100))
    return Offer(service["service"], int(service["min"]))


@asynccontextmanager
async def watching(database_url: str) -> AsyncIterator[Connection]:
    """A connection that is not the gateway's, for looking at what is committed."""
    conn = await asyncpg.connect(database_url, server_settings={"application_name": "watch"})
    try:
        yield conn
    finally:
        await conn.close()


async def assert_sound(database_url: str) -> None:
    """The audit finds nothing."""
    pool = await open_pool(database_url, size=1)
    try:
        await World(pool).assert_sound()
    finally:
        await pool.close()


async def evidence(
    conn: Connection, load: Load, panel: SandboxProcess, customers: Sequence[Customer]
) -> Evidence:
    """What is left after a run."""
    funds = {customer.id: parse_amount(FUNDS[customer.name]) for customer in customers}
    return await evidence_of(conn, load.journal, panel.data_dir, funds)
