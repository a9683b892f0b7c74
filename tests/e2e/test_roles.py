"""Processes of one role each, on one database: together they are a gateway."""

from pathlib import Path

from gateway.embedded import Addresses
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World


async def test_an_order_taken_by_a_web_process_is_sent_by_a_worker_process(
    world: World,
    sandbox: SandboxProcess,
    engines: Addresses,
    database_url: str,
    tmp_path: Path,
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key)
    service = await world.service(provider, upstream_service="101")
    customer = await world.reseller()
    # Looks are rare here: what happens soon was hinted at.
    settings = {"dispatch": {"idle_ms": 600_000}, "tracking": {"idle_ms": 20}}
    web, worker = (
        GatewayProcess(
            database_url,
            engines.redis_url,
            tmp_path / f"{role}.log",
            role=role,
            settings=settings,
        )
        for role in ("web", "worker")
    )
    async with web, worker, PanelClient(web.url, customer.key) as client:
        order = await client.add(service)

        async def placed() -> bool:
            return len(sandbox.accepted()) == 1

        await eventually(placed)
        await sandbox.control("advance", {"seconds": 10})

        async def running() -> bool:
            return bool((await client.call("status", order=order))["status"] != "Pending")

        await eventually(running)
    assert "order.moved" not in web.log_text()
    await world.assert_sound()
