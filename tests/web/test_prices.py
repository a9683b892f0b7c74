"""What each reseller sees, may order and pays: the rows of the bad-input catalogue on services."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from gateway.store import prices, services
from gateway.store.connection import Pool
from schemas.catalogue import PriceRule, ServiceChange
from schemas.money import parse_rate
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.world import Customer, World

_LINK = "https://www.instagram.com/p/example/"


@dataclass
class Counter:
    """A gateway with one service at 0.90, and two resellers of whom one has terms of its own."""

    pool: Pool
    world: World
    url: str
    service: int
    acme: Customer
    rival: Customer

    async def ask(self, who: Customer, action: str, **fields: object) -> Any:
        """One call's answer."""
        async with PanelClient(self.url, who.key) as client:
            return await client.call(action, **fields)

    async def order(self, who: Customer, quantity: int = 1000) -> Any:
        """The answer to an order."""
        fields = {"service": self.service, "link": _LINK, "quantity": quantity}
        return await self.ask(who, "add", **fields)

    async def rates(self, who: Customer) -> dict[int, str]:
        """What the reseller is shown."""
        return {row["service"]: row["rate"] for row in await self.ask(who, "services")}

    async def change(self, **values: Any) -> None:
        """Change the service as an operator does."""
        async with self.pool.acquire() as conn:
            await services.set_service(conn, self.service, ServiceChange(**values))

    async def seen(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the gateway has read the catalogue again."""
        await eventually(condition)


@pytest.fixture
async def counter(world: World, pool: Pool, open_gateway: OpenGateway) -> AsyncIterator[Counter]:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    service = await world.service(provider, rate="0.90", minimum=100)
    acme, rival = await world.reseller("acme"), await world.reseller("rival")
    async with open_gateway() as gateway:
        yield Counter(pool, world, gateway.api_url, service, acme, rival)


async def test_a_reseller_s_own_price_is_shown_charged_and_frozen(counter: Counter) -> None:
    async with counter.pool.acquire() as conn:
        rule = PriceRule(0, Decimal(60), service_id=counter.service, reseller_id=counter.acme.id)
        await prices.set_price_rule(conn, rule)

    async def known() -> bool:
        return await counter.rates(counter.acme) == {counter.service: "0.72"}

    await counter.seen(known)
    assert await counter.rates(counter.rival) == {counter.service: "0.90"}
    mine, other = await counter.order(counter.acme), await counter.order(counter.rival)
    rows = await counter.pool.fetch("select id, rate, charge, cost from orders order by id")
    assert [tuple(row) for row in rows] == [
        (mine["order"], 720_000, 720_000, 450_000),
        (other["order"], 900_000, 900_000, 450_000),
    ]
    await counter.world.assert_sound()


async def test_an_order_drafted_at_an_old_price_pays_the_reseller_s_new_one(
    counter: Counter,
) -> None:
    async with counter.pool.acquire() as conn:
        rule = PriceRule(0, Decimal(60), service_id=counter.service, reseller_id=counter.acme.id)
        await prices.set_price_rule(conn, rule)
    # At once, before the process has noticed: the version is compared when it charges.
    await counter.order(counter.acme)
    assert await counter.pool.fetchval("select charge from orders") == 720_000


async def test_a_service_hidden_from_a_reseller_is_an_unknown_one(counter: Counter) -> None:
    async with counter.pool.acquire() as conn:
        await prices.set_audience(conn, counter.service, [counter.rival.id])
    assert await counter.order(counter.acme) == {"error": "Incorrect service ID"}

    async def hidden() -> bool:
        return await counter.rates(counter.acme) == {}

    await counter.seen(hidden)
    assert await counter.order(counter.acme) == {"error": "Incorrect service ID"}
    assert await counter.rates(counter.rival) == {counter.service: "0.90"}
    assert "order" in await counter.order(counter.rival)


@pytest.mark.parametrize(
    "sql",
    [
        # gone at the provider since the last sync
        "update route set enabled = false, disabled_reason = 'the upstream no longer offers it'",
        # the provider's cost is above our price
        "update route set cost = 900001",
        # the cost became nothing, and the price follows it
        "update route set cost = 0; update service set rate = null",
        # no price at all
        "delete from price_rule; update service set rate = null",
        "update service set enabled = false",
    ],
)
async def test_what_cannot_be_sold_is_an_unknown_service(counter: Counter, sql: str) -> None:
    async with counter.pool.acquire() as conn:
        await conn.execute(sql)
    assert await counter.order(counter.acme) == {"error": "Incorrect service ID"}

    async def unlisted() -> bool:
        return await counter.rates(counter.acme) == {}

    await counter.seen(unlisted)
    assert await counter.order(counter.acme) == {"error": "Incorrect service ID"}
    assert await counter.pool.fetchval("select count(*) from orders") == 0


async def test_a_service_may_be_marked_for_sale_below_cost_and_the_audit_agrees(
    counter: Counter,
) -> None:
    await counter.change(rate=parse_rate("0.10"), below_cost=True)
    assert "order" in await counter.order(counter.acme)
    await counter.change(below_cost=False)
    assert await counter.order(counter.acme) == {"error": "Incorrect service ID"}
    row = await counter.pool.fetchrow("select charge, cost, below_cost from orders")
    assert tuple(row or ()) == (100_000, 450_000, True)
    await counter.world.assert_sound()


@pytest.mark.parametrize("quantity", [150, 199, 9_950])
async def test_a_quantity_must_be_a_multiple_of_the_step(counter: Counter, quantity: int) -> None:
    await counter.change(step=100)
    answer = await counter.order(counter.acme, quantity)
    assert answer == {"error": "Quantity must be a multiple of 100"}
    assert "order" in await counter.order(counter.acme, 200)


async def test_a_price_that_rose_is_the_new_price(counter: Counter) -> None:
    await counter.rates(counter.acme)
    await counter.change(rate=parse_rate("0.95"))
    await counter.order(counter.acme)
    assert await counter.pool.fetchval("select charge from orders") == 950_000


async def test_paging_is_ignored_and_many_may_ask_at_once(counter: Counter) -> None:
    whole = await counter.ask(counter.acme, "services")
    paged = await counter.ask(counter.acme, "services", page=-1, limit=10**9, offset=5)
    assert paged == whole
    crowd = [counter.ask(counter.acme, "services") for _ in range(100)]
    assert all(answer == whole for answer in await asyncio.gather(*crowd))
