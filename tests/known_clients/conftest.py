"""One till for all tests of this folder."""

from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool
from tests.application_role import as_application
from tests.gateway_process import GatewayProcess
from tests.known_clients.till import Till
from tests.sandbox_process import SandboxProcess
from tests.world import World

_DATABASE = "known_clients"


@pytest.fixture(scope="package")
async def till(
    engines: Addresses, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Till]:
    """A gateway process on a sandbox with all its services, and a reseller with funds."""
    folder = tmp_path_factory.mktemp("till")
    maintenance = await asyncpg.connect(engines.database_url)
    await maintenance.execute(f"create database {_DATABASE} template {migrated_template}")
    url = engines.database_url.rsplit("/", 1)[0] + "/" + _DATABASE
    pool = await open_pool(url, size=3)
    world = World(pool)
    async with SandboxProcess(folder / "sandbox") as sandbox:
        await world.sandbox(sandbox)
        customer = await world.reseller(funds="10000")
        routes = await pool.fetch("select upstream_service, service_id from route")
        services = {row["upstream_service"]: row["service_id"] for row in routes}
        settings = {"refills": {"wait_ms": 0}}
        gateway = GatewayProcess(
            as_application(url), engines.redis_url, folder / "gateway.log", settings=settings
        )
        async with gateway, aiohttp.ClientSession() as session:
            yield Till(gateway.url, customer.key, services, pool, sandbox, session)
        await world.assert_sound()
    await pool.close()
    await maintenance.execute(f"drop database {_DATABASE} with (force)")
    await maintenance.close()
