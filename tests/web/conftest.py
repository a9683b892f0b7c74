"""One gateway process for all tests of this folder that leave it as they found it."""

from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import Pool, open_pool
from providers.sandbox.catalogue import CATALOGUE, Service
from schemas.providers import ProviderRecord
from schemas.services import SERVICE_TYPES
from tests.application_role import as_application
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.web.desk import Desk
from tests.world import Customer, World

_DATABASE = "web_desk"


@pytest.fixture(scope="package")
async def desk_database(engines: Addresses, migrated_template: str) -> AsyncIterator[str]:
    """A database that the tests of this folder share."""
    conn = await asyncpg.connect(engines.database_url)
    try:
        await conn.execute(f"create database {_DATABASE} template {migrated_template}")
        yield engines.database_url.rsplit("/", 1)[0] + "/" + _DATABASE
        await conn.execute(f"drop database {_DATABASE} with (force)")
    finally:
        await conn.close()


def type_name(kind: str) -> str:
    """What the desk calls its service of a type."""
    return f"TYPE_{kind.replace(' ', '_').upper()}."


def upstream_of(kind: str) -> Service:
    """The sandbox's service that the desk sells for a type."""
    return max((s for s in CATALOGUE.values() if s.kind == kind), key=lambda s: s.number)


async def every_type(world: World, provider: ProviderRecord) -> dict[str, int]:
    """A service of each type."""
    return {
        type_name(kind): await world.service(
            provider,
            type=kind,
            minimum=upstream_of(kind).minimum,
            upstream_service=str(upstream_of(kind).number),
        )
        for kind in SERVICE_TYPES
    }


async def suspend(pool: Pool, url: str, reseller: Customer) -> None:
    """Suspend a reseller and wait until the gateway, which caches keys, knows."""
    await pool.execute("update reseller set suspended = true where id = $1", reseller.id)
    async with PanelClient(url, reseller.key) as client:

        async def known() -> bool:
            answer = await client.call("add")  # without a service, so that it buys nothing
            return bool("suspended" in answer["error"])

        await eventually(known)


@pytest.fixture(scope="package")
async def desk(
    engines: Addresses, desk_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """A gateway on a sandbox, with two resellers who have an order each; at debug log level."""
    folder = tmp_path_factory.mktemp("desk")
    pool = await open_pool(desk_database, size=3)
    world = World(pool)
    async with SandboxProcess(folder / "sandbox") as sandbox:
        provider = await world.provider(sandbox.url, sandbox.key)
        customer, rival = await world.reseller("acme"), await world.reseller("rival")
        halted = await world.reseller("halted")
        kinds = {
            "DEFAULT": await world.service(provider, upstream_service="101"),
            "PACKAGE": await world.service(provider, type="Package", upstream_service="105"),
            "COMMENTS": await world.service(
                provider, type="Custom Comments", minimum=2, maximum=4, upstream_service="141"
            ),
            "DEAR": await world.service(provider, rate="500000", upstream_service="103"),
            "TINY": await world.service(provider, rate="0.0002", minimum=1, upstream_service="131"),
            "OFF": await world.service(provider, upstream_service="102", enabled=False),
            **await every_type(world, provider),
        }
        gateway = GatewayProcess(
            as_application(desk_database),
            engines.redis_url,
            folder / "gateway.log",
            settings={"log": {"level": "debug"}},
        )
        names = {"KEY": customer.key, "RIVAL_KEY": rival.key, "SUSPENDED_KEY": halted.key}
        names |= {name: str(id_) for name, id_ in kinds.items()}
        # Some calls make the gateway close their connection; none may share it with the next test.
        alone = aiohttp.TCPConnector(force_close=True)
        async with gateway, aiohttp.ClientSession(connector=alone) as session:
            buyers = {"OWN": customer, "FOREIGN": rival, "SUSPENDED_ORDER": halted}
            for name, reseller in buyers.items():
                async with PanelClient(gateway.url, reseller.key) as client:
                    names[name] = str(await client.add(kinds["DEFAULT"], 100))
            await suspend(pool, gateway.url, halted)
            made = Desk(pool, world, gateway, sandbox, session, customer, names)
            await made.settled()
            yield made
    await pool.close()
