"""Drip-feeds and subscriptions as a client sees them, through a gateway that runs by itself."""

from typing import Any

from gateway.store.connection import Pool
from schemas.money import parse_amount
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World

_KEYS = ["charge", "start_count", "status", "remains", "currency"]


async def _service(client: PanelClient, upstream_type: str) -> dict[str, Any]:
    services = await client.call("services")
    return next(dict(s) for s in services if s["type"] == upstream_type)


async def _an_hour_passes(pool: Pool) -> None:
    """For schedules, on the database's clock."""
    await pool.execute("update schedule set next_run_at = next_run_at - interval '1 hour'")
    await pool.execute("update orders set next_at = now() where state = 'scheduled'")


async def test_a_drip_feed_from_its_add_to_its_end(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    await world.sandbox(sandbox)
    await sandbox.control("speed", {"seconds": 0.2})
    customer = await world.reseller(funds="10")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        service = await _service(client, "Default")
        assert service["dripfeed"] is True
        link = "https://example.com/drip"
        wanted = {"service": service["service"], "link": link, "quantity": 100}
        answer = await client.call("add", **wanted, runs=2, interval=60)
        order = answer["order"]
        assert answer == {"order": order}
        charged = parse_amount("10.00") - await world.balance(customer)

        async def status() -> dict[str, str]:
            return dict(await client.call("status", order=order))

        async def remains(pieces: int) -> bool:
            return (await status())["remains"] == str(pieces)

        first = await status()
        assert list(first) == _KEYS
        assert (first["remains"], parse_amount(first["charge"])) == ("200", charged)
        await eventually(lambda: remains(100))
        assert (await status())["status"] == "In progress"
        assert len(sandbox.accepted()) == 1
        await _an_hour_passes(pool)
        await eventually(lambda: remains(0))
        last = await status()
        assert (last["status"], parse_amount(last["charge"])) == ("Completed", charged)
    assert [record["quantity"] for record in sandbox.accepted()] == [100, 100]
    assert parse_amount("10.00") - await world.balance(customer) == charged
    await world.assert_sound()


async def test_a_subscription_from_its_add_to_its_end(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    await world.sandbox(sandbox)
    customer = await world.reseller(funds="10")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        service = await _service(client, "Subscriptions")
        wanted = {"username": "someone", "min": 20, "max": 50, "delay": 0, "posts": 2}
        order = (await client.call("add", service=service["service"], **wanted))["order"]
        charged = parse_amount("10.00") - await world.balance(customer)

        async def status() -> dict[str, str]:
            return dict(await client.call("status", order=order))

        async def accepted() -> bool:
            return bool(sandbox.accepted())

        async def ended() -> bool:
            return (await status())["status"] == "Completed"

        await eventually(accepted)
        await sandbox.control("speed", {"seconds": 0.2})
        await eventually(ended)
        last = await status()
        assert list(last) == _KEYS
        assert (last["remains"], parse_amount(last["charge"])) == ("0", charged)
    parts = await pool.fetch("select charge, state from orders where parent_id = $1", order)
    assert sum(part["charge"] for part in parts) == charged
    assert [part["state"] for part in parts] == ["completed"] * 2
    await world.assert_sound()
