"""Ten thousand orders at once, on one reseller, through two gateways, with money for a third."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from gateway.embedded import Addresses
from schemas.money import Micros, charge_of, format_amount, parse_rate
from tests.application_role import as_application
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

ORDERS = 10_000
CONNECTIONS = 500
RATE = "0.90"
LEAST, MOST = 50, 10_000
NO_FUNDS = {"error": "Not enough funds on balance"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One order that a client asks for; its link tells it from all others."""

    link: str
    quantity: int

    @property
    def charge(self) -> Micros:
        """What it costs."""
        return charge_of(parse_rate(RATE), self.quantity)


@dataclass(frozen=True, slots=True)
class Answered:
    """An order that was asked for, and its id when it was taken."""

    asked: Asked
    order: int | None


class Crowd:
    """Many connections that each take the next order from one list."""

    def __init__(self, urls: list[str], customer: Customer, service: int) -> None:
        self._urls = urls
        self._form = {"key": customer.key, "action": "add", "service": str(service)}
        self.answers: list[Answered] = []

    async def run(self, asked: list[Asked]) -> None:
        """Ask for all of them; every answer is an order or a refusal for want of money."""
        left = iter(asked)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            workers = (self._work(session, left, number) for number in range(CONNECTIONS))
            await asyncio.gather(*workers)

    async def _work(
        self, session: aiohttp.ClientSession, left: Iterator[Asked], number: int
    ) -> None:
        url = self._urls[number % len(self._urls)]
        for asked in left:
            form = self._form | {"link": asked.link, "quantity": str(asked.quantity)}
            async with session.post(url, data=form) as answer:
                found = json.loads(await answer.read())
                assert answer.status == 200, found
            assert found == NO_FUNDS or set(found) == {"order"}, found
            self.answers.append(Answered(asked, found.get("order")))


async def test_ten_thousand_orders_on_one_balance_over_two_gateways(
    world: World,
    sandbox: SandboxProcess,
    engines: Addresses,
    database_url: str,
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    asked = [
        Asked(f"https://a.example/{number}", chance.randint(LEAST, MOST))
        for number in range(ORDERS)
    ]
    funds = sum(one.charge for one in asked) // 3
    customer = await world.reseller(funds=format_amount(funds))
    provider = await world.provider(sandbox.url, sandbox.key, in_flight=100)
    service = await world.service(
        provider, rate=RATE, minimum=LEAST, maximum=MOST, upstream_service="101"
    )
    gateways = [
        GatewayProcess(
            as_application(database_url),
            engines.redis_url,
            tmp_path / f"gateway-{number}.log",
            settings={"tracking": {"first_ms": 60_000}},
        )
        for number in (1, 2)
    ]
    async with gateways[0], gateways[1]:
        crowd = Crowd([gateway.url for gateway in gateways], customer, service)
        await crowd.run(asked)
        await _assert_money_is_exact(world, customer, crowd.answers, funds)

        async def sent() -> bool:
            left = await world.pool.fetchval(
                "select count(*) from orders where state in ('queued', 'sending')"
            )
            return bool(left == 0)

        await eventually(sent, seconds=300, every=0.25)
    await _assert_accepted_once(world, sandbox, crowd.answers)
    await world.assert_sound()


async def _assert_money_is_exact(
    world: World, customer: Customer, answers: list[Answered], funds: Micros
) -> None:
    accepted = [one for one in answers if one.order is not None]
    refused = [one for one in answers if one.order is None]
    assert len(answers) == ORDERS
    assert accepted
    assert refused
    assert len({one.order for one in accepted}) == len(accepted)
    left = funds - sum(one.asked.charge for one in accepted)
    print(f"accepted {len(accepted)}, refused {len(refused)}, left {format_amount(left)}")
    assert await world.balance(customer) == left
    # What is left never grew, so each was refused when no less than this was left.
    assert all(one.asked.charge > left for one in refused)


async def _assert_accepted_once(
    world: World, sandbox: SandboxProcess, answers: list[Answered]
) -> None:
    expected = {one.asked.link: one.asked.quantity for one in answers if one.order is not None}
    upstream = sandbox.accepted()
    assert Counter(one["link"] for one in upstream) == Counter(expected.keys())
    assert {one["link"]: one["quantity"] for one in upstream} == expected
    assert len(sandbox.received()) == len(expected)
    stored = await world.pool.fetch("select id, link, quantity, charge, state from orders")
    assert {row["link"]: (row["id"], row["quantity"], row["charge"]) for row in stored} == {
        one.asked.link: (one.order, one.asked.quantity, one.asked.charge)
        for one in answers
        if one.order is not None
    }
    assert {row["state"] for row in stored} == {"placed"}
