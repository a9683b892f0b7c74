"""What a process sells to whom: price lists, visibility, and answers that are made once."""

import asyncio
import json
import random
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalogue.snapshot import Catalogue, Snapshot
from gateway.store import prices, services
from gateway.store.connection import Pool
from schemas.catalogue import PriceRule, Service, ServiceChange
from schemas.money import parse_rate
from tests.orders.making import a_route, a_service
from tests.world import World


def _following(number: int, **values: object) -> Service:
    route = a_route(id=number, service_id=number, cost=1_000_000)
    return a_service(**{"id": number, "follows": True, "routes": (route,), **values})  # type: ignore[arg-type]


def _rule(markup: int, **scope: object) -> PriceRule:
    return PriceRule(markup, Decimal(markup), **scope)  # type: ignore[arg-type]


def _listed(answer: bytes) -> dict[int, str]:
    return {row["service"]: row["rate"] for row in json.loads(answer)}


def test_each_reseller_sees_its_own_prices_and_pays_them() -> None:
    rules = [_rule(25), _rule(10, reseller_id=7), _rule(15, reseller_id=7, service_id=2)]
    snapshot = Snapshot(1, [_following(1), _following(2)], rules, {})
    assert _listed(snapshot.answer(7, text_ids=False)) == {1: "1.10", 2: "1.15"}
    assert _listed(snapshot.answer(8, text_ids=False)) == {1: "1.25", 2: "1.25"}
    for reseller, rates in ((7, {1: 1_100_000, 2: 1_150_000}), (8, {1: 1_250_000, 2: 1_250_000})):
        for number, rate in rates.items():
            sold = snapshot.service(number, reseller)
            assert sold is not None
            assert sold.rate == rate


def test_a_hidden_service_is_neither_listed_nor_sold_to_others() -> None:
    snapshot = Snapshot(1, [_following(1), _following(2)], [_rule(25)], {2: frozenset({7})})
    assert set(_listed(snapshot.answer(7, text_ids=False))) == {1, 2}
    assert set(_listed(snapshot.answer(8, text_ids=False))) == {1}
    assert snapshot.service(2, 7) is not None
    assert snapshot.service(2, 8) is None
    assert 2 not in snapshot.services


def test_one_reseller_s_price_below_cost_hides_the_service_from_it_alone() -> None:
    dear = a_route(cost=1_200_000, basis=1_000_000)
    rules = [_rule(25), _rule(10, reseller_id=7)]
    snapshot = Snapshot(1, [_following(1, routes=(dear,))], rules, {})
    assert snapshot.service(1, 7) is None
    assert snapshot.service(1, 8) is not None
    assert _listed(snapshot.answer(7, text_ids=False)) == {}


def test_services_are_listed_by_position_then_category_then_id() -> None:
    rows = [
        _following(1, category="b"),
        _following(2, category="a"),
        _following(3, category="a", position=-1),
        _following(4, category="a"),
    ]
    random.Random(1).shuffle(rows)
    answer = Snapshot(1, rows, [_rule(25)], {}).answer(None, text_ids=False)
    assert list(_listed(answer)) == [3, 2, 4, 1]


def test_ids_may_be_strings_and_nothing_else_changes() -> None:
    snapshot = Snapshot(1, [_following(1, name='A "name" 🙂\\')], [_rule(25)], {})
    numbers = json.loads(snapshot.answer(None, text_ids=False))
    texts = json.loads(snapshot.answer(None, text_ids=True))
    assert [row.pop("service") for row in numbers] == [1]
    assert [row.pop("service") for row in texts] == ["1"]
    assert numbers == texts
    assert list(numbers[0]) == [
        "name", "type", "category", "rate", "min", "max", "dripfeed", "refill", "cancel"
    ]  # fmt: skip


def test_resellers_with_equal_terms_share_and_others_do_not() -> None:
    rules = [_rule(25), _rule(10, reseller_id=7), PriceRule(99, Decimal(10), reseller_id=8)]
    rules += [_rule(11, reseller_id=9), _rule(10, reseller_id=10, category="x")]
    snapshot = Snapshot(1, [], rules, {5: frozenset({11})})
    assert snapshot.terms(7) == snapshot.terms(8)
    assert len({snapshot.terms(n) for n in (7, 9, 10, 11, 12)}) == 5


async def _change(pool: Pool, number: int, **values: Any) -> None:
    async with pool.acquire() as conn:
        await services.set_service(conn, number, ServiceChange(**values))


async def test_answers_are_made_once_however_many_ask(world: World, pool: Pool) -> None:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    number = await world.service(provider)
    customer = await world.reseller()
    async with pool.acquire() as conn:
        rule = PriceRule(0, Decimal(300), service_id=number, reseller_id=customer.id)
        await prices.set_price_rule(conn, rule)
        catalogue = Catalogue()
        await catalogue.refresh(conn)
    answers = await asyncio.gather(*(catalogue.answer(customer.id) for _ in range(100)))
    assert len({id(answer) for answer in answers}) == 1
    assert _listed(answers[0]) == {number: "1.80"}
    assert _listed(await catalogue.answer(customer.id + 1)) == {number: "0.90"}


async def test_a_change_reaches_the_answers_of_everybody(world: World, pool: Pool) -> None:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    number = await world.service(provider)
    customer = await world.reseller()
    catalogue = Catalogue()
    async with pool.acquire() as conn:
        await catalogue.refresh(conn)
        assert _listed(await catalogue.answer(customer.id)) == {number: "0.90"}
        await _change(pool, number, rate=parse_rate("0.91"))
        await catalogue.refresh(conn)
        assert _listed(await catalogue.answer(customer.id)) == {number: "0.91"}
        await prices.set_audience(conn, number, [customer.id])
        await catalogue.refresh(conn)
        assert _listed(await catalogue.answer(customer.id + 1)) == {}
        await prices.set_audience(conn, number, [])
        await catalogue.refresh(conn)
        assert _listed(await catalogue.answer(customer.id + 1)) == {number: "0.91"}


async def test_a_catalogue_of_many_pages_is_read_whole(world: World, pool: Pool) -> None:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    await pool.execute(
        """insert into service (name, type, category, rate, minimum, maximum, enabled)
           select 'Service ' || n, 'Default', 'Tests', 1000000, 1, 100, true
             from generate_series(1, 1100) n"""
    )
    await pool.execute(
        """insert into route (service_id, provider_id, upstream_service, cost)
           select id, $1, id::text, 10 from service""",
        provider.id,
    )
    catalogue = Catalogue()
    async with pool.acquire() as conn:
        snapshot = await catalogue.refresh(conn)
    assert len(snapshot.services) == len(_listed(await catalogue.answer(1))) == 1100


@pytest.mark.parametrize("markup", ["0.0001", "12.3456", "99999"])
def test_a_rate_shown_has_two_to_five_decimals(markup: str) -> None:
    rows = [_following(n, routes=(a_route(cost=7**n),)) for n in range(1, 15)]
    snapshot = Snapshot(1, rows, [PriceRule(1, Decimal(markup))], {})
    for rate in _listed(snapshot.answer(None, text_ids=False)).values():
        whole, _, decimals = rate.partition(".")
        assert whole.isdigit()
        assert decimals.isdigit()
        assert 2 <= len(decimals) <= 5
