"""A reseller's own name for an order: whoever repeats it gets the same order, once paid."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from gateway.store.connection import Pool
from schemas.money import UNIT
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.world import Customer, World

USED = {"error": "external_id was used with other parameters"}
INCORRECT = {"error": "Incorrect request"}


@dataclass
class Shop:
    """One gateway with one service, and a reseller who has money for a hundred orders."""

    client: PanelClient
    service: int
    customer: Customer
    world: World
    pool: Pool

    async def order(self, **parameters: object) -> dict[str, object]:
        """An ``add`` that costs one unit; what it answered."""
        fields = {"service": self.service, "link": "https://a.example/1", "quantity": 1000}
        answer: dict[str, object] = await self.client.call("add", **(fields | parameters))
        return answer

    async def orders(self) -> int:
        """How many orders there are."""
        return int(await self.pool.fetchval("select count(*) from orders"))


@pytest.fixture
async def shop(world: World, pool: Pool, open_gateway: OpenGateway) -> AsyncIterator[Shop]:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    service = await world.service(provider, rate="1")
    customer = await world.reseller(funds="100")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        yield Shop(client, service, customer, world, pool)


@pytest.mark.parametrize("name", ["external_id", "request_id", "idempotency_key"])
async def test_a_repeated_name_is_one_order_and_one_charge(shop: Shop, name: str) -> None:
    answers = [await shop.order(**{name: "order 7"}) for _ in range(3)]
    assert answers == [answers[0]] * 3
    assert "order" in answers[0]
    assert await shop.world.balance(shop.customer) == 99 * UNIT
    await shop.world.assert_sound()


async def test_a_name_in_the_header_counts_and_must_agree_with_the_field(shop: Shop) -> None:
    async def ask(header: str, field: str) -> object:
        form = {"key": shop.customer.key, "action": "add", "service": str(shop.service)}
        form |= {"link": "https://a.example/1", "quantity": "1000"}
        form |= {"external_id": field} if field else {}
        async with (
            aiohttp.ClientSession() as session,
            session.post(shop.client.url, data=form, headers={"Idempotency-Key": header}) as answer,
        ):
            return json.loads(await answer.read())

    first = await ask("a-1", "")
    assert await ask("a-1", "") == first
    assert await ask("a-1", "a-1") == first
    assert await ask("a-1", "a-2") == INCORRECT
    assert await ask("a-1", "undefined") == await ask("null", "a-1") == first
    assert await shop.orders() == 1


@pytest.mark.parametrize(
    "other", [{"quantity": 2000}, {"link": "https://a.example/2"}], ids=["quantity", "link"]
)
async def test_a_name_is_refused_for_another_order(shop: Shop, other: dict[str, object]) -> None:
    await shop.order(external_id="x")
    assert await shop.order(**({"external_id": "x"} | other)) == USED
    assert await shop.orders() == 1


@pytest.mark.parametrize("name", ["n" * 256, "tab\there", "ö"], ids=["long", "control", "letter"])
async def test_a_bad_name_is_refused(shop: Shop, name: str) -> None:
    assert await shop.order(external_id=name) == INCORRECT
    assert await shop.orders() == 0


@pytest.mark.parametrize("name", ["external_id", "request_id", "idempotency_key"])
async def test_an_order_whose_name_says_nothing_has_none(shop: Shop, name: str) -> None:
    texts = ("", " ", "undefined", "null", "NaN", "None") * 2
    answers = [await shop.order(**{name: text}) for text in texts]
    assert len({answer["order"] for answer in answers}) == len(answers)


async def test_names_belong_to_their_reseller(shop: Shop) -> None:
    first = await shop.order(external_id="x")
    other = await shop.world.reseller("other")
    async with PanelClient(shop.client.url, other.key) as client:
        assert await client.call("status", external_id="x") == {"error": "Incorrect order ID"}
        answer = await client.call(
            "add", service=shop.service, link="https://a.example/1", quantity=1000, external_id="x"
        )
    assert answer != first
    assert "order" in answer


async def test_a_refusal_leaves_the_name_free(shop: Shop) -> None:
    refused = await shop.order(quantity=10_000_0, external_id="x")
    assert "error" in refused
    assert "order" in await shop.order(external_id="x")


async def test_status_finds_an_order_by_its_name(shop: Shop) -> None:
    order = (await shop.order(external_id="x"))["order"]
    by_name = await shop.client.call("status", external_id="x")
    assert by_name == await shop.client.call("status", order=order)
    for empty in ({"order": ""}, {"orders": " , "}, {"order": "", "orders": ""}):
        assert await shop.client.call("status", external_id="x", **empty) == by_name
    assert await shop.client.call("status", external_id="y") == {"error": "Incorrect order ID"}


async def test_twins_with_money_for_one_are_all_told_the_same_order(shop: Shop) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = [f"n{n}" for n in range(120)] * 4
    chance.shuffle(names)
    answers = await asyncio.gather(*(shop.order(external_id=name) for name in names))
    told: dict[str, set[str]] = {}
    for name, answer in zip(names, answers, strict=True):
        told.setdefault(name, set()).add(json.dumps(answer))
    assert all(len(answers) == 1 for answers in told.values())
    accepted = [name for name, answers in told.items() if '"order"' in next(iter(answers))]
    assert len(accepted) == await shop.orders() == 100
    assert await shop.world.balance(shop.customer) == 0
    await shop.world.assert_sound()


@pytest.mark.parametrize(
    "changed",
    [
        "update service set enabled = false, disabled_reason = 'gone'",
        "update service set minimum = 5000",
        "update service set step = 300",
        "update route set cost = 1000000000",
    ],
    ids=["off", "other limits", "other step", "costs more"],
)
async def test_a_name_finds_its_order_whatever_became_of_the_service(
    shop: Shop, changed: str
) -> None:
    """A client that hears a refusal takes its order for not placed, and places it elsewhere."""
    first = await shop.order(external_id="x")
    await shop.world.pool.execute(changed)

    async def refused() -> bool:
        return "error" in await shop.order(link="https://a.example/new")

    await eventually(refused)
    assert await shop.order(external_id="x") == first
    assert await shop.order(external_id="x", quantity=2000) == USED
    assert "error" in await shop.order(external_id="y")
    assert await shop.orders() == 1
    await shop.world.assert_sound()
