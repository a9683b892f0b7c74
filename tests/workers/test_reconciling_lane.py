"""The lane in a running gateway: doubts are found out about without anybody asking."""

from prometheus_client import REGISTRY

from schemas.orders import OrderState
from tests.conftest import OpenGateway, eventually
from tests.orders.line import faulty
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World


async def test_a_running_gateway_finds_the_orders_whose_answers_were_lost(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    await sandbox.control("conduct", {"order_list": True})
    await world.sandbox(sandbox, order_list=True, in_flight=1)
    customer = await world.reseller(funds="100")
    faults = ["slow-after:1", "500-after", "truncated-after:15"]
    async with (
        open_gateway(reconcile={"interval_ms": 20}) as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        made: list[int] = []
        for fault in faults:
            # One after the other: a row is placed in time by the orders before it.
            made.append(await client.add(1, 100, faulty(fault, name=str(len(made)))))

            async def is_placed(order: int = made[-1]) -> bool:
                state = await world.pool.fetchval("select state from orders where id = $1", order)
                return bool(state == OrderState.PLACED)

            await eventually(is_placed)
    rows = await world.pool.fetch("select upstream_id from orders order by id")
    assert [row["upstream_id"] for row in rows] == [str(o["order"]) for o in sandbox.accepted()]
    assert len(sandbox.received()) == len(faults)
    assert REGISTRY.get_sample_value("smm_doubtful_charge_micros", {"state": "unknown"}) is not None
    found = {"provider": "sandbox", "verdict": "placed"}
    assert (REGISTRY.get_sample_value("smm_reconciled_total", found) or 0) >= 2
    await world.assert_sound()
