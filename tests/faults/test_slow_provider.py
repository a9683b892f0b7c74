"""C21: a provider whose answers take their time delays nothing of another's."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.connection import Pool
from schemas.orders import OrderState
from tests.conftest import OpenGateway, eventually
from tests.faults.proxy import ChaosProxy
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World

_TRACKED, _SENT_LATER, _IN_FLIGHT = 30, 60, 20
_ALL = _TRACKED + _SENT_LATER


@pytest.fixture
async def panels(tmp_path: Path) -> AsyncIterator[tuple[SandboxProcess, SandboxProcess]]:
    """A panel that will be slow, and one that is not."""
    async with SandboxProcess(tmp_path / "slow") as slow, SandboxProcess(tmp_path / "fast") as fast:
        yield slow, fast


async def test_orders_of_a_provider_are_sent_and_followed_while_another_does_not_answer(
    panels: tuple[SandboxProcess, SandboxProcess],
    open_gateway: OpenGateway,
    world: World,
    pool: Pool,
) -> None:
    slow_panel, fast_panel = panels
    customer = await world.reseller(funds="1000")
    async with ChaosProxy.before(slow_panel.url) as network:
        slow, fast = [
            await world.service(
                await world.provider(url, panel.key, name, in_flight=_IN_FLIGHT),
                upstream_service="101",
            )
            for name, url, panel in (
                ("slow", network.through(slow_panel.url), slow_panel),
                ("fast", fast_panel.url, fast_panel),
            )
        ]
        # Fewer connections than calls that wait: a call that waits has none.
        settings = {"database": {"pool_size": 4}, "dispatch": {"timeout_ms": 300_000}}
        async with (
            open_gateway(**settings) as gateway,
            PanelClient(gateway.api_url, customer.key) as client,
        ):

            async def place(number: int, part: str) -> None:
                for service in (slow, fast):
                    for n in range(number):
                        await client.add(service, link=f"https://a.example/{part}-{n}")

            async def standing(service: int) -> Counter[str]:
                rows = await pool.fetch("select state from orders where service_id = $1", service)
                return Counter(row["state"] for row in rows)

            async def running() -> bool:
                both = await standing(slow) + await standing(fast)
                return both[OrderState.PLACED] == 2 * _TRACKED

            async def completed(service: int, panel: SandboxProcess) -> bool:
                await panel.control("advance", {"work": 1})
                return (await standing(service))[OrderState.COMPLETED] == _ALL

            await place(_TRACKED, "tracked")
            await eventually(running, seconds=60)
            network.hold()
            await slow_panel.control("advance", {"work": 1})
            await place(_SENT_LATER, "later")
            await eventually(lambda: completed(fast, fast_panel), seconds=120)
            # Not one answer of the slow one has come meanwhile, and its calls are all out.
            assert await standing(slow) == {
                OrderState.PLACED: _TRACKED,
                OrderState.SENDING: _IN_FLIGHT,
                OrderState.QUEUED: _SENT_LATER - _IN_FLIGHT,
            }
            network.heal()
            await eventually(lambda: completed(slow, slow_panel), seconds=120)
    assert len(slow_panel.accepted()) == len(fast_panel.accepted()) == _ALL
    await world.assert_sound()
