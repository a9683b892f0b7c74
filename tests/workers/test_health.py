"""What lanes learn of a provider: breakers, balances, and who is told."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import REGISTRY
from structlog.testing import LogCapture

from gateway.breaker import BreakerState
from gateway.catalogue.upstreams import adapt, timeouts
from gateway.store import providers
from gateway.store.connection import Pool
from gateway.workers.reading import BalanceLane
from providers.transport import Transport
from schemas.config import TrackingSettings
from schemas.orders import OrderState
from schemas.providers import ProviderRecord
from tests.conftest import OpenGateway, eventually
from tests.orders.line import DISPATCH
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import KEYS, World


@pytest.fixture
def alerts() -> Iterator[LogCapture]:
    """Everything that is logged as an error."""
    before = structlog.get_config()
    capture = LogCapture()
    structlog.configure(
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    yield capture
    structlog.configure(**before)


def _told(alerts: LogCapture, event: str) -> list[dict[str, object]]:
    return [dict(line) for line in alerts.entries if line["event"] == event]


def _metric(name: str, provider: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"provider": provider})


async def _placed(pool: Pool) -> int:
    found: int = await pool.fetchval(
        "select count(*) from orders where state = $1", OrderState.PLACED
    )
    return found


async def test_a_panel_that_answers_no_status_still_gets_orders(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key, "mute")
    service = await world.service(provider, upstream_service="101")
    customer = await world.reseller()
    for action in ("status", "balance"):
        await sandbox.control("faults", {"action": action, "fault": "500-before", "times": 9999})
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        await client.add(service)

        async def reading_is_broken() -> bool:
            return _metric("smm_provider_reads_breaker_state", "mute") == BreakerState.OPEN

        await eventually(reading_is_broken)
        await client.add(service, link="https://a.example/2")

        async def both() -> bool:
            return await _placed(pool) == 2

        await eventually(both)
        assert _metric("smm_provider_breaker_state", "mute") == BreakerState.CLOSED


async def test_a_panel_that_cannot_be_reached_opens_the_breaker_and_is_reported_once(
    world: World,
    pool: Pool,
    sandbox: SandboxProcess,
    open_gateway: OpenGateway,
    alerts: LogCapture,
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key, "gone", in_flight=4)
    service = await world.service(provider, upstream_service="101")
    customer = await world.reseller()
    await sandbox.kill()
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        links = [f"https://a.example/{n}" for n in range(8)]
        await asyncio.gather(*(client.add(service, link=link) for link in links))

        async def told() -> bool:
            return bool(_told(alerts, "provider.silent"))

        async def is_open() -> bool:
            return _metric("smm_provider_breaker_state", "gone") == BreakerState.OPEN

        await eventually(told)
        await eventually(is_open)
        await sandbox.start()

        async def all_placed() -> bool:
            return await _placed(pool) == 8

        await eventually(all_placed)
    assert [line["provider"] for line in _told(alerts, "provider.silent")] == ["gone"]


async def test_a_low_balance_is_told_once_for_each_time_that_it_runs_low(
    world: World, pool: Pool, sandbox: SandboxProcess, alerts: LogCapture
) -> None:
    record = await world.provider(sandbox.url, sandbox.key, "purse", low_balance=50.5)
    async with Transport(timeouts(DISPATCH)) as transport:
        adapter, budget = adapt(record, transport, KEYS)
        lane = BalanceLane(pool, adapter, record, budget, TrackingSettings())
        for amount in ("60", "50.49", "1", "50.5", "50", "0"):
            await sandbox.control("balance", {"amount": amount})
            await pool.execute("update provider set balance_due_at = now()")
            await lane._work()
            lane.record = await _stored(pool, "purse")
    told = [line["balance"] for line in _told(alerts, "provider.low_balance")]
    assert told == ["50.49", "50.00"]
    assert (await _stored(pool, "purse")).balance == 0


async def test_a_balance_in_another_currency_than_the_account_s_is_told_and_not_kept(
    world: World, pool: Pool, sandbox: SandboxProcess, alerts: LogCapture
) -> None:
    record = await world.provider(sandbox.url, sandbox.key, "moved", "VND", low_balance=50000)
    async with Transport(timeouts(DISPATCH)) as transport:
        adapter, budget = adapt(record, transport, KEYS)
        lane = BalanceLane(pool, adapter, record, budget, TrackingSettings())
        await lane._work()
    [told] = _told(alerts, "provider.currency_changed")
    assert (told["told"], told["stored"]) == ("USD", "VND")
    assert told["hint"] == "provider set moved --set currency=USD"
    assert _told(alerts, "provider.low_balance") == []
    assert (await _stored(pool, "moved")).balance is None


async def test_a_balance_is_read_kept_and_shown_and_not_read_again_while_it_is_young(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    await world.provider(sandbox.url, sandbox.key, "rich")
    await sandbox.control("balance", {"amount": "12.345"})
    async with open_gateway():

        async def known() -> bool:
            return _metric("smm_provider_balance", "rich") == 12.345

        await eventually(known)
    first = await _stored(pool, "rich")
    assert first.balance == 12_345_000
    async with open_gateway() as second:

        async def stands() -> bool:
            standing = second._core.standings.get(first.id)
            return standing is not None and standing.balance == 12_345_000

        await eventually(stands)
    assert (await _stored(pool, "rich")).balance_at == first.balance_at


async def _stored(pool: Pool, name: str) -> ProviderRecord:
    async with pool.acquire() as conn:
        record = await providers.get_provider(conn, name)
    assert record is not None
    return record
