"""An order from a client's call to its end, through a sandbox panel in another process."""

from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World


async def test_an_order_is_taken_paid_delivered_and_settled(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    await world.sandbox(sandbox)
    customer = await world.reseller(funds="10")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        services = await client.call("services")
        service = next(s for s in services if s["type"] == "Default")
        order = await client.add(service["service"], 1000)
        await eventually(lambda: _placed(sandbox))
        await sandbox.control("advance", {"share": 1})

        async def finished() -> bool:
            answer = await client.call("status", order=order)
            return bool(answer["status"] == "Completed")

        await eventually(finished)
    [accepted] = sandbox.accepted()
    assert accepted["quantity"] == 1000
    await world.assert_sound()


async def _placed(sandbox: SandboxProcess) -> bool:
    return bool(sandbox.accepted())
