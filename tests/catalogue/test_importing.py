"""Importing and following an upstream's catalogue."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalogue.importing import Choice, Imported, import_services
from gateway.catalogue.pricing import PriceRules, price_of
from gateway.errors import UserError
from gateway.store import prices, services, versions
from gateway.store.connection import Pool
from schemas.catalogue import Service
from schemas.config import SettingsModel
from schemas.providers import ProviderRecord
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService
from tests.world import BY_TEST, World

_ROW = UpstreamService(
    service="1",
    name="Followers",
    category="Instagram",
    type="Default",
    type_known=True,
    rate=Decimal("0.84"),
    minimum=10,
    maximum=1000,
    refill=True,
    cancel=True,
    dripfeed=True,
)


def _rows(*rows: UpstreamService) -> UpstreamCatalogue:
    return UpstreamCatalogue(rows)


@pytest.fixture
async def provider(world: World) -> ProviderRecord:
    """An account; nobody is asked anything here."""
    return await world.provider("http://127.0.0.1:9/api/v2")


async def _import(
    pool: Pool, provider: ProviderRecord, *rows: UpstreamService, **terms: Any
) -> Imported:
    settings = terms.pop("settings", SettingsModel())
    return await import_services(pool, provider, _rows(*rows), settings, BY_TEST, **terms)


async def _rates(pool: Pool) -> dict[str, int]:
    """The general rate of each service, by the upstream's id."""
    async with pool.acquire() as conn:
        rules = PriceRules(await prices.list_price_rules(conn))
        rows = await services.list_services(conn)
    priced = {row.routes[0].upstream_service: price_of(row, rules) for row in rows}
    return {name: price.rate for name, price in priced.items() if price}


async def _all(pool: Pool) -> dict[str, Service]:
    async with pool.acquire() as conn:
        return {s.routes[0].upstream_service: s for s in await services.list_services(conn)}


async def _version(pool: Pool) -> int:
    async with pool.acquire() as conn:
        return await versions.get_catalogue_version(conn)


async def test_an_import_sells_at_cost_and_markup(pool: Pool, provider: ProviderRecord) -> None:
    before = await _version(pool)
    done = await _import(pool, provider, _ROW)
    service = (await _all(pool))["1"]
    assert (done.added, done.known, done.refused) == ((service.id,), (), ())
    assert (service.follows, service.routes[0].cost) == (True, 840_000)
    assert await _rates(pool) == {"1": 1_050_000}
    assert (service.minimum, service.maximum, service.name) == (10, 1000, "Followers")
    assert (service.enabled, service.disabled_reason) == (True, None)
    assert (service.dripfeed, service.refill, service.cancel) == (True, True, True)
    assert await _version(pool) > before


async def test_importing_again_adds_and_changes_nothing(
    pool: Pool, provider: ProviderRecord
) -> None:
    first = await _import(pool, provider, _ROW)
    before = await _all(pool)
    again = await _import(pool, provider, replace(_ROW, rate=Decimal(9)), _ROW)
    assert again.added == ()
    assert set(again.known) == set(first.added)
    assert await _all(pool) == before


async def test_a_service_offered_twice_is_sold_once(pool: Pool, provider: ProviderRecord) -> None:
    done = await _import(pool, provider, _ROW, replace(_ROW, name="Again"))
    assert len(done.added) == 1
    assert (await _all(pool))["1"].name == "Followers"


async def test_ids_follow_the_upstream_s_order(pool: Pool, provider: ProviderRecord) -> None:
    rows = [replace(_ROW, service=name) for name in ("9", "3", "7")]
    done = await _import(pool, provider, *rows)
    found = await _all(pool)
    assert [found[name].id for name in ("9", "3", "7")] == list(done.added) == sorted(done.added)


async def test_only_the_named_services_are_imported(pool: Pool, provider: ProviderRecord) -> None:
    rows = [replace(_ROW, service=name) for name in ("1", "2", "3")]
    await _import(pool, provider, *rows, choice=Choice(ids={"1", "3", "99"}))
    assert set(await _all(pool)) == {"1", "3"}


async def test_a_type_that_is_not_known_is_imported_switched_off_with_its_reason(
    pool: Pool, provider: ProviderRecord
) -> None:
    await _import(pool, provider, replace(_ROW, type="Poll", type_known=False))
    service = (await _all(pool))["1"]
    assert not service.enabled
    assert "Poll" in (service.disabled_reason or "")


@pytest.mark.parametrize("rate", ["99999.01", "1e12", "1e400", "0", "-1"])
async def test_a_price_that_cannot_be_sold_is_refused_alone(
    pool: Pool, provider: ProviderRecord, rate: str
) -> None:
    done = await _import(pool, provider, replace(_ROW, service="2", rate=Decimal(rate)), _ROW)
    assert [row.service for row in done.refused] == ["2"]
    assert set(await _all(pool)) == {"1"}


async def test_rows_that_could_not_be_read_are_reported(
    pool: Pool, provider: ProviderRecord
) -> None:
    unsound = RefusedRow("5", "no rate")
    catalogue = UpstreamCatalogue((_ROW,), (unsound,))
    done = await import_services(pool, provider, catalogue, SettingsModel(), BY_TEST)
    assert done.refused == (unsound,)
    assert set(await _all(pool)) == {"1"}


async def test_two_providers_may_offer_the_same_id(
    world: World, pool: Pool, provider: ProviderRecord
) -> None:
    other = await world.provider("http://127.0.0.1:9/other", name="other")
    await _import(pool, provider, _ROW)
    await _import(pool, other, _ROW)
    async with pool.acquire() as conn:
        assert len(await services.list_services(conn)) == 2


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(category="instagram"), {"1", "2"}),
        (Choice(type="package"), {"2", "3"}),
        (Choice(search="FOLLOW"), {"1"}),
        (Choice(category="instagram", type="package"), {"2"}),
        (Choice(search="nothing"), set()),
    ],
)
async def test_an_import_can_be_narrowed(
    pool: Pool, provider: ProviderRecord, choice: Choice, taken: set[str]
) -> None:
    rows = [
        _ROW,
        replace(_ROW, service="2", name="Likes", type="Package"),
        replace(_ROW, service="3", name="Views", type="Package", category="Other"),
    ]
    await _import(pool, provider, *rows, choice=choice)
    assert set(await _all(pool)) == taken


async def test_a_dry_run_says_what_would_be_added_and_adds_nothing(
    pool: Pool, provider: ProviderRecord
) -> None:
    before = await _version(pool)
    done = await _import(pool, provider, _ROW, markup_percent=Decimal(50), dry_run=True)
    assert [new.upstream_service for new in done.fresh] == ["1"]
    assert (done.added, await _all(pool), await _version(pool)) == ((), {}, before)


async def test_a_markup_given_with_an_import_becomes_the_rule_of_its_provider(
    pool: Pool, provider: ProviderRecord
) -> None:
    await _import(pool, provider, _ROW, markup_percent=Decimal(50))
    assert await _rates(pool) == {"1": 1_260_000}
    await _import(pool, provider, replace(_ROW, service="2"))
    assert await _rates(pool) == {"1": 1_260_000, "2": 1_260_000}
    with pytest.raises(UserError, match="has a price rule of 50 % already"):
        await _import(pool, provider, _ROW, markup_percent=Decimal(60))


async def test_a_markup_for_single_rows_concerns_these_alone(
    pool: Pool, provider: ProviderRecord
) -> None:
    rows = [_ROW, replace(_ROW, service="2")]
    few = Choice(ids={"2"})
    await _import(pool, provider, *rows, choice=few, markup_percent=Decimal(100))
    await _import(pool, provider, *rows)
    assert await _rates(pool) == {"1": 1_050_000, "2": 1_680_000}


async def test_costs_of_another_currency_are_converted_before_they_are_judged(
    world: World, pool: Pool
) -> None:
    abroad = await world.provider("http://127.0.0.1:9/abroad", name="abroad", currency="VND")
    settings = SettingsModel(exchange_rates={"VND": "0.00004"})
    dear = replace(_ROW, rate=Decimal(1_300_000))
    absurd = replace(_ROW, service="2", rate=Decimal("1e10"))
    odd = replace(_ROW, service="3", rate=Decimal("9.299999999999999"))
    done = await _import(pool, abroad, dear, absurd, odd, settings=settings)
    found = await _all(pool)
    assert {name: s.routes[0].cost for name, s in found.items()} == {"1": 52_000_000, "3": 372}
    assert [row.service for row in done.refused] == ["2"]
    rates = await pool.fetch("select rate from route_seen order by rate")
    assert [row["rate"] for row in rates] == [odd.rate, dear.rate]


async def test_a_currency_without_an_exchange_rate_is_refused(world: World, pool: Pool) -> None:
    abroad = await world.provider("http://127.0.0.1:9/abroad", name="abroad", currency="VND")
    with pytest.raises(UserError, match=r"set exchange_rates\.VND"):
        await _import(pool, abroad, _ROW)
    assert await _all(pool) == {}
