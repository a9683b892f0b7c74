"""Importing and following an upstream's catalogue."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalogue.importing import (
    Imported,
    Synced,
    followed,
    import_services,
    sync_services,
)
from gateway.errors import UserError
from gateway.store import services, versions
from gateway.store.connection import Pool
from schemas.catalogue import Service, ServiceChange
from schemas.providers import ProviderRecord
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService
from tests.world import World

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
    pool: Pool, provider: ProviderRecord, *rows: UpstreamService, only: set[str] | None = None
) -> Imported:
    return await import_services(
        pool, provider, _rows(*rows), markup_percent=Decimal(25), only=only
    )


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
    assert done == Imported((service.id,), (), ())
    assert (service.rate, service.routes[0].cost) == (1_050_000, 840_000)
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
    await _import(pool, provider, *rows, only={"1", "3", "99"})
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
    done = await import_services(
        pool,
        provider,
        UpstreamCatalogue((_ROW,), (unsound,)),
        markup_percent=Decimal(0),
        only=None,
    )
    assert done.refused == (unsound,)
    assert (await _all(pool))["1"].rate == 840_000


async def test_two_providers_may_offer_the_same_id(
    world: World, pool: Pool, provider: ProviderRecord
) -> None:
    other = await world.provider("http://127.0.0.1:9/other", name="other")
    await _import(pool, provider, _ROW)
    await _import(pool, other, _ROW)
    async with pool.acquire() as conn:
        assert len(await services.list_services(conn)) == 2


async def _sync(pool: Pool, provider: ProviderRecord, *rows: UpstreamService) -> Synced:
    return await sync_services(pool, provider, _rows(*rows))


async def test_a_sync_follows_cost_and_limits_and_leaves_prices(
    pool: Pool, provider: ProviderRecord
) -> None:
    [number] = (await _import(pool, provider, _ROW)).added
    done = await _sync(pool, provider, replace(_ROW, rate=Decimal("0.9"), minimum=20, maximum=500))
    assert done == Synced((number,), {})
    service = (await _all(pool))["1"]
    assert (service.routes[0].cost, service.minimum, service.maximum) == (900_000, 20, 500)
    assert (service.rate, service.enabled) == (1_050_000, True)


async def test_the_upstream_s_flags_are_taken_over_once_and_are_ours_afterwards(
    pool: Pool, provider: ProviderRecord
) -> None:
    plain = replace(_ROW, service="2", refill=False, cancel=False)
    await _import(pool, provider, _ROW, plain)
    await _sync(
        pool, provider, replace(_ROW, refill=False, cancel=False), replace(plain, cancel=True)
    )
    flags = {name: (s.refill, s.cancel) for name, s in (await _all(pool)).items()}
    assert flags == {"1": (True, True), "2": (False, False)}


async def test_a_sync_without_news_changes_nothing_and_wakes_nobody(
    pool: Pool, provider: ProviderRecord
) -> None:
    await _import(pool, provider, _ROW)
    before = await _version(pool)
    assert await _sync(pool, provider, _ROW) == Synced((), {})
    assert await _version(pool) == before


async def test_what_vanished_or_costs_more_than_our_price_is_switched_off(
    pool: Pool, provider: ProviderRecord
) -> None:
    rows = [replace(_ROW, service=name) for name in ("1", "2", "3")]
    gone, dear, fine = (await _import(pool, provider, *rows)).added
    done = await _sync(pool, provider, replace(rows[1], rate=Decimal("1.06")), rows[2])
    assert set(done.off) == {gone, dear}
    found = {s.id: s for s in (await _all(pool)).values()}
    assert [found[n].enabled for n in (gone, dear, fine)] == [False, False, True]
    assert "no longer" in (found[gone].disabled_reason or "")
    assert "above ours" in (found[dear].disabled_reason or "")


async def test_a_price_equal_to_ours_is_still_sold(pool: Pool, provider: ProviderRecord) -> None:
    await _import(pool, provider, _ROW)
    assert (await _sync(pool, provider, replace(_ROW, rate=Decimal("1.05")))).off == {}


async def test_a_sync_switches_nothing_on(pool: Pool, provider: ProviderRecord) -> None:
    [number] = (await _import(pool, provider, _ROW)).added
    async with pool.acquire() as conn:
        off = ServiceChange(enabled=False, disabled_reason="switched off by an operator")
        await services.set_service(conn, number, off)
    assert (await _sync(pool, provider, _ROW)).off == {}
    service = (await _all(pool))["1"]
    assert (service.enabled, service.disabled_reason) == (False, "switched off by an operator")


async def test_a_service_whose_type_changed_is_switched_off_and_keeps_its_cost(
    pool: Pool, provider: ProviderRecord
) -> None:
    rows = [_ROW, replace(_ROW, service="2")]
    changed, same = (await _import(pool, provider, *rows)).added
    package = replace(_ROW, type="Package", rate=Decimal("0.5"))
    done = await _sync(pool, provider, package, rows[1])
    assert done == Synced((), {changed: "the upstream changed its type from Default to Package"})
    found = {s.id: s for s in (await _all(pool)).values()}
    assert (found[changed].enabled, found[changed].disabled_reason) == (False, done.off[changed])
    assert (found[changed].routes[0].cost, found[changed].type) == (840_000, "Default")
    assert found[same].enabled


@pytest.mark.parametrize(
    ("changes", "cost", "reason"),
    [
        ({}, 840_000, None),
        ({"rate": Decimal("0.9")}, 900_000, None),
        ({"rate": Decimal(2)}, 2_000_000, "above ours"),
        ({"type": "Package"}, 840_000, "from Default to Package"),
        ({"type": "Package", "rate": Decimal(2)}, 840_000, "from Default to Package"),
        ({"type": "Poll", "type_known": False}, 840_000, "from Default to Poll"),
        ({"rate": Decimal("1e400")}, 840_000, "absurd"),
    ],
)
async def test_what_an_upstream_changed_says_whether_its_service_can_stay(
    pool: Pool, provider: ProviderRecord, changes: dict[str, Any], cost: int, reason: str | None
) -> None:
    await _import(pool, provider, _ROW)
    service = (await _all(pool))["1"]
    found, why = followed(service, service.routes[0], replace(_ROW, **changes))
    assert found == cost
    assert why is None if reason is None else reason in (why or "")


async def test_an_empty_catalogue_switches_nothing_off(
    pool: Pool, provider: ProviderRecord
) -> None:
    await _import(pool, provider, _ROW)
    with pytest.raises(UserError, match="nothing was changed"):
        await _sync(pool, provider)
    assert (await _all(pool))["1"].enabled


@pytest.mark.parametrize("rate", ["1e30", "1e400", "99999999"])
async def test_an_absurd_price_in_a_sync_concerns_its_own_service_alone(
    pool: Pool, provider: ProviderRecord, rate: str
) -> None:
    rows = [_ROW, replace(_ROW, service="2")]
    absurd, fine = (await _import(pool, provider, *rows)).added
    sound = replace(rows[1], minimum=11)
    done = await _sync(pool, provider, replace(_ROW, rate=Decimal(rate)), sound)
    assert set(done.off) == {absurd}
    assert fine in done.changed


async def test_a_sync_leaves_other_providers_alone(
    world: World, pool: Pool, provider: ProviderRecord
) -> None:
    other = await world.provider("http://127.0.0.1:9/other", name="other")
    await _import(pool, provider, _ROW)
    await _import(pool, other, replace(_ROW, service="7"))
    await _sync(pool, provider, _ROW)
    assert (await _all(pool))["7"].enabled
