"""What the families count in a gateway at work, and what they are made of in the database."""

from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway.catalogue.measuring import hours_left, measure_accounts
from schemas.money import UNIT, parse_amount
from schemas.orders import OrderState
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_money_is_counted_once_it_is_committed_and_margins_once_orders_end(
    world: World, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    provider = await world.provider(sandbox.url, sandbox.key, "earner")
    service = await world.service(provider, upstream_service="101", rate="1.00")
    ledger = {"cause": "charge", "currency": "USD"}
    refunds = {"cause": "refund", "currency": "USD"}
    before = [
        _value("smm_ledger_micros_total", **ledger),
        _value("smm_ledger_entries_total", **ledger),
        _value("smm_ledger_micros_total", **refunds),
        _value("smm_adds_refused_total", reason="funds"),
        _value("smm_request_seconds_count", action="add"),
    ]
    # For one order of 1000 and another one, and not for a third.
    customer = await world.reseller(funds="2.50")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        await client.add(service, 1000, "https://a.example/whole")
        await client.add(service, 1000, "https://a.example/half?sandbox=partial:50")
        third = await client.call("add", service=service, quantity=1000, link="https://a.example/3")
        assert third == {"error": "Not enough funds on balance"}
        await eventually(lambda: _placed(world, 2))
        await sandbox.control("advance", {"work": 1})
        await eventually(lambda: _ended(world, 2))

        async def counted() -> bool:
            return _value("smm_settled_revenue_micros_total", provider="earner") > 1_000_000

        await eventually(counted)
    after = [
        _value("smm_ledger_micros_total", **ledger),
        _value("smm_ledger_entries_total", **ledger),
        _value("smm_ledger_micros_total", **refunds),
        _value("smm_adds_refused_total", reason="funds"),
        _value("smm_request_seconds_count", action="add"),
    ]
    grown = [new - old for new, old in zip(after, before, strict=True)]
    assert grown == [2 * UNIT, 2, UNIT // 2, 1, 3]
    # The cost is half of the rate, and of what was delivered alone.
    assert _value("smm_settled_revenue_micros_total", provider="earner") == 1_500_000
    assert _value("smm_settled_cost_micros_total", provider="earner") == 750_000
    assert await world.balance(customer) == parse_amount("1.00")


async def _placed(world: World, number: int) -> bool:
    found = await world.pool.fetchval(
        "select count(*) from orders where state = any($1)",
        [OrderState.PLACED, OrderState.IN_PROGRESS],
    )
    return bool(found == number)


async def _ended(world: World, number: int) -> bool:
    found = await world.pool.fetchval(
        "select count(*) from orders where state = any($1)",
        [OrderState.COMPLETED, OrderState.PARTIAL],
    )
    return bool(found == number)


@pytest.mark.parametrize(
    ("balance", "spent", "hours", "left"),
    [(100, 50, 10, 20), (0, 50, 10, 0), (-5, 50, 10, 0), (100, 0, 10, None), (100, 50, 0, None)],
)
def test_how_long_a_balance_lasts(
    balance: int, spent: int, hours: float, left: float | None
) -> None:
    assert hours_left(balance, spent, hours) == left


async def test_a_top_up_is_no_spending_and_another_currency_says_nothing(world: World) -> None:
    provider = await world.provider("http://127.0.0.1:9", name="spender")
    await world.provider("http://127.0.0.1:9", name="idle")
    amounts = [("100", "USD"), ("90", "USD"), ("5000", "EUR"), ("190", "USD"), ("180", "USD")]
    for hours, (amount, currency) in enumerate(amounts):
        await world.pool.execute(
            """insert into balance_reading (provider_id, asked_at, at, amount, currency)
               values ($1, now() - $2::interval, now() - $2::interval, $3, $4)""",
            provider.id,
            timedelta(hours=4 - hours),
            parse_amount(amount),
            currency,
        )
    await world.pool.execute(
        "update provider set balance = $2 where id = $1", provider.id, parse_amount("180")
    )
    await measure_accounts(world.pool)
    # 20 in 4 hours.
    found = REGISTRY.get_sample_value("smm_provider_balance_hours", {"provider": "spender"})
    assert found == pytest.approx(36, rel=1e-3)
    idle = {"provider": "idle"}
    assert REGISTRY.get_sample_value("smm_provider_balance_hours", idle) is None
    assert REGISTRY.get_sample_value("smm_tracking_lag_seconds", idle) == 0


async def test_the_order_that_is_overdue_the_longest_is_the_lag_of_its_provider(
    world: World, tmp_path: Path
) -> None:
    provider = await world.provider("http://127.0.0.1:9", name="late")
    customer = await world.reseller()
    for number, (state, due) in enumerate(
        [("placed", 100), ("in_progress", 200), ("queued", 300), ("placed", -50)], 1
    ):
        await world.pool.execute(
            """insert into orders (id, reseller_id, service_id, service_type, provider_id,
                   upstream_service, state, link, quantity, rate, charge, currency,
                   wire_charge, wire_remains, request_id, next_at)
               values ($1, $2, 1, 'Default', $3, '1', $4, 'x', 1, 10, 1, 'USD', 1, 1, 'r',
                       now() - $5::interval)""",
            number,
            customer.id,
            provider.id,
            state,
            timedelta(seconds=due),
        )
    await measure_accounts(world.pool)
    lag = REGISTRY.get_sample_value("smm_tracking_lag_seconds", {"provider": "late"})
    assert lag is not None
    assert 200 <= lag < 260
