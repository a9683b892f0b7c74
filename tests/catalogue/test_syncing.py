"""Syncs on the real database: what is written, what is refused, and who may do it when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalogue.importing import import_services
from gateway.catalogue.reviewing import decide
from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.syncing import CatalogueSyncs, sync_catalogue
from gateway.catalogue.upstreams import adapt, add_provider
from gateway.errors import UserError
from gateway.store import changes, providers, services, syncs, versions
from gateway.store.connection import Pool
from providers.transport import Transport
from schemas.catalogue import Service, ServiceChange
from schemas.changes import Change, ChangeKind, ChangeState
from schemas.config import SettingsModel
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamCatalogue, UpstreamService
from tests.conftest import eventually
from tests.providers.wire import Upstream, says
from tests.world import BY_TEST, KEYS, World

_SETTINGS = SettingsModel()
_ROW = UpstreamService(
    service="1",
    name="Followers",
    category="Instagram",
    type="Default",
    type_known=True,
    rate=Decimal("1.00"),
    minimum=10,
    maximum=1000,
    refill=True,
    cancel=True,
    dripfeed=True,
)
_WIRE = (
    '{{"service":{n},"name":"Followers {n}","type":"Default","rate":"{rate}","min":10,"max":1000,'
    '"category":"Instagram","refill":true,"cancel":true}}'
)


def _answer(*rates: str) -> str:
    return "[" + ",".join(_WIRE.format(n=n, rate=rate) for n, rate in enumerate(rates, 1)) + "]"


@pytest.fixture
async def provider(world: World) -> ProviderRecord:
    """An account; nobody is asked anything here."""
    return await world.provider("http://127.0.0.1:9/api/v2")


@pytest.fixture
async def sold(pool: Pool, provider: ProviderRecord) -> int:
    """A service that is imported at a cost of 1.00."""
    done = await import_services(pool, provider, UpstreamCatalogue((_ROW,)), _SETTINGS, BY_TEST)
    [number] = done.added
    return number


async def _sync(
    pool: Pool, provider: ProviderRecord, *rows: UpstreamService, **terms: Any
) -> list[tuple[str, str]]:
    settings = terms.pop("settings", _SETTINGS)
    found = await sync_catalogue(pool, provider, UpstreamCatalogue(rows), settings, **terms)
    return [(change.kind.value, change.state.value) for change in found.changes]


async def _service(pool: Pool, number: int) -> Service:
    async with pool.acquire() as conn:
        found = await services.get_service(conn, number)
    assert found is not None
    return found


async def _rate(pool: Pool, number: int) -> int | None:
    """The rate at which everybody may order, None when it is not for sale."""
    catalogue = Catalogue()
    async with pool.acquire() as conn:
        snapshot = await catalogue.refresh(conn)
    return snapshot.services[number].rate if number in snapshot.services else None


async def _changes(pool: Pool, state: str | None = None) -> list[Change]:
    async with pool.acquire() as conn:
        return await changes.list_changes(conn, state=state, provider=None, limit=100)


async def _version(pool: Pool) -> int:
    async with pool.acquire() as conn:
        return await versions.get_catalogue_version(conn)


async def test_a_sync_takes_costs_and_limits_over_and_prices_follow(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    now = replace(_ROW, rate=Decimal("1.2"), minimum=20, maximum=500)
    assert await _sync(pool, provider, now) == [("price", "applied"), ("limits", "applied")]
    service = await _service(pool, sold)
    assert (service.routes[0].cost, service.minimum, service.maximum) == (1_200_000, 20, 500)
    assert await _rate(pool, sold) == 1_500_000
    [limits, price] = await _changes(pool)
    assert (price.kind, price.before, price.after) == (ChangeKind.PRICE, "1.00", "1.20")
    assert (limits.before, limits.after, limits.service_id) == ("10-1000", "20-500", sold)


async def test_a_sync_without_news_changes_nothing_and_wakes_nobody(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    before, service = await _version(pool), await _service(pool, sold)
    assert await _sync(pool, provider, _ROW) == []
    assert (await _version(pool), await _service(pool, sold)) == (before, service)
    assert await _changes(pool) == []


async def test_a_dry_run_says_what_would_change_and_changes_nothing(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    before = await _version(pool)
    now = replace(_ROW, rate=Decimal("1.2"))
    assert await _sync(pool, provider, now, dry_run=True) == [("price", "applied")]
    assert (await _version(pool), await _changes(pool)) == (before, [])


async def test_a_held_rise_stops_the_sale_until_an_operator_approves(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    dear = replace(_ROW, rate=Decimal(4))
    assert await _sync(pool, provider, dear) == [("price", "held")]
    assert await _rate(pool, sold) is None
    assert await _sync(pool, provider, dear) == []
    [waiting] = await _changes(pool, "held")
    await decide(pool, [waiting.id], ChangeState.APPROVED, BY_TEST)
    assert await _rate(pool, sold) == 5_000_000
    assert await _sync(pool, provider, dear) == []
    with pytest.raises(UserError, match="does not wait"):
        await decide(pool, [waiting.id], ChangeState.DISMISSED, BY_TEST)


async def test_a_dismissed_change_leaves_things_as_they_are_and_does_not_come_up_again(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    now = replace(_ROW, rate=Decimal("0.1"), name="Likes")
    assert await _sync(pool, provider, now) == [("renamed", "held"), ("price", "held")]
    waiting = await _changes(pool, "held")
    await decide(pool, [change.id for change in waiting], ChangeState.DISMISSED, BY_TEST)
    assert await _sync(pool, provider, now) == []
    assert await _rate(pool, sold) == 1_250_000
    assert (await _service(pool, sold)).name == "Followers"


async def test_an_approved_name_and_type_are_taken_over(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    now = replace(_ROW, name="Likes")
    await _sync(pool, provider, now)
    [waiting] = await _changes(pool, "held")
    await decide(pool, [waiting.id], ChangeState.APPROVED, BY_TEST)
    assert (await _service(pool, sold)).name == "Likes"
    assert (await _service(pool, sold)).dripfeed
    package = replace(now, type="Package")
    assert await _sync(pool, provider, package) == [("type_changed", "held")]
    assert await _rate(pool, sold) is None
    [waiting] = await _changes(pool, "held")
    await decide(pool, [waiting.id], ChangeState.APPROVED, BY_TEST)
    assert await _sync(pool, provider, package) == [("returned", "applied")]
    service = await _service(pool, sold)
    assert (service.type, service.dripfeed) == ("Package", False)


async def test_decisions_are_taken_together_or_not_at_all(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    await _sync(pool, provider, replace(_ROW, name="Likes", type="fb_viplike", type_known=False))
    [waiting] = await _changes(pool, "held")
    with pytest.raises(UserError, match="the type 'fb_viplike' is not known"):
        await decide(pool, [waiting.id], ChangeState.APPROVED, BY_TEST)
    with pytest.raises(UserError, match="change 999"):
        await decide(pool, [waiting.id, 999], ChangeState.DISMISSED, BY_TEST)
    assert [change.id for change in await _changes(pool, "held")] == [waiting.id]


async def test_what_vanished_comes_back_and_what_an_operator_set_survives(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    ours = ServiceChange(
        name="Ours",
        category="Our category",
        description="Words",
        position=3,
        step=10,
        keep_links=True,
        below_cost=True,
    )
    async with pool.acquire() as conn:
        await services.set_service(conn, sold, ours)
    before = await _service(pool, sold)
    other = replace(_ROW, service="2")
    assert ("vanished", "applied") in await _sync(pool, provider, other)
    assert await _rate(pool, sold) is None
    assert await _sync(pool, provider, _ROW, other) == [("returned", "applied")]
    assert await _service(pool, sold) == before


async def test_a_fixed_price_stays(pool: Pool, provider: ProviderRecord, sold: int) -> None:
    async with pool.acquire() as conn:
        await services.set_service(conn, sold, ServiceChange(rate=1_400_000))
    await _sync(pool, provider, replace(_ROW, rate=Decimal("1.3")))
    assert await _rate(pool, sold) == 1_400_000
    await _sync(pool, provider, replace(_ROW, rate=Decimal("1.4")))
    assert await _rate(pool, sold) is None


async def test_a_changed_exchange_rate_changes_prices_at_the_next_sync(
    world: World, pool: Pool
) -> None:
    abroad = await world.provider("http://127.0.0.1:9/abroad", name="abroad", currency="EUR")
    first, later = (SettingsModel(exchange_rates={"EUR": rate}) for rate in ("1.08", "1.20"))
    done = await import_services(pool, abroad, UpstreamCatalogue((_ROW,)), first, BY_TEST)
    assert await _rate(pool, done.added[0]) == 1_350_000
    assert await _sync(pool, abroad, _ROW, settings=later) == [("price", "applied")]
    assert await _rate(pool, done.added[0]) == 1_500_000


@pytest.mark.parametrize("rows", [0, 2])
async def test_an_empty_or_halved_catalogue_changes_nothing(
    pool: Pool, provider: ProviderRecord, rows: int
) -> None:
    offered = [replace(_ROW, service=str(n)) for n in range(5)]
    await import_services(pool, provider, UpstreamCatalogue(tuple(offered)), _SETTINGS, BY_TEST)
    before = await _version(pool)
    with pytest.raises(UserError, match="nothing was changed"):
        await _sync(pool, provider, *offered[:rows])
    assert (await _version(pool), await _changes(pool)) == (before, [])


async def test_an_operator_may_believe_a_smaller_catalogue(
    pool: Pool, provider: ProviderRecord
) -> None:
    offered = [replace(_ROW, service=str(n)) for n in range(5)]
    await import_services(pool, provider, UpstreamCatalogue(tuple(offered)), _SETTINGS, BY_TEST)
    assert len(await _sync(pool, provider, offered[0], accept_smaller=True)) == 4
    assert await _sync(pool, provider, offered[0]) == []


async def test_an_account_may_have_a_policy_of_its_own(world: World, pool: Pool) -> None:
    strict = await world.provider("http://127.0.0.1:9/x", name="strict", price_changes="hold")
    await import_services(pool, strict, UpstreamCatalogue((_ROW,)), _SETTINGS, BY_TEST)
    now = replace(_ROW, rate=Decimal("1.01"))
    assert await _sync(pool, strict, now) == [("price", "held")]


async def test_a_sync_leaves_other_providers_alone(
    world: World, pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    other = await world.provider("http://127.0.0.1:9/other", name="other")
    done = await import_services(pool, other, UpstreamCatalogue((_ROW,)), _SETTINGS, BY_TEST)
    await _sync(pool, provider, replace(_ROW, service="7"))
    assert (await _rate(pool, sold), await _rate(pool, done.added[0])) == (None, 1_250_000)


async def test_a_service_of_before_is_adopted_as_it_is_found(
    world: World, pool: Pool, provider: ProviderRecord
) -> None:
    number = await world.service(provider, rate="3", minimum=10, maximum=1000)
    found = await _sync(pool, provider, replace(_ROW, rate=Decimal("1.5")))
    assert found == []
    assert await _sync(pool, provider, replace(_ROW, rate=Decimal("1.5"), name="Likes")) == [
        ("renamed", "held")
    ]
    assert await _rate(pool, number) == 3_000_000


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def _syncs(pool: Pool, transport: Transport, sync_ms: int = 60_000) -> CatalogueSyncs:
    settings = SettingsModel(catalogue={"sync_ms": sync_ms})
    return CatalogueSyncs(pool, settings, lambda record: adapt(record, transport, KEYS)[0])


async def _make_due(pool: Pool) -> None:
    await pool.execute("update catalogue_sync set next_at = now()")


async def test_a_catalogue_is_synced_when_it_is_due_by_one_process(
    world: World, pool: Pool, transport: Transport
) -> None:
    async with Upstream(says(_answer("1.00", "2.00"))) as panel:
        provider = await world.provider(panel.url)
        catalogue = await adapt(provider, transport, KEYS)[0].services()
        done = await import_services(pool, provider, catalogue, _SETTINGS, BY_TEST)
        panel.behaviour = says(_answer("1.20", "2.00"))
        crowd = [_syncs(pool, transport) for _ in range(4)]
        await asyncio.gather(*(one.work() for one in crowd))
        assert len(panel.requests) == 1
        await _make_due(pool)
        await asyncio.gather(*(one.work() for one in crowd))
        assert len(panel.requests) == 2
        assert await _rate(pool, done.added[0]) == 1_500_000
        assert panel.requests[-1].form["action"] == "services"


@pytest.mark.parametrize("answer", ["[]", "<html><title>Just a moment", '{"error":"x"}', ""])
async def test_a_broken_answer_changes_nothing_and_is_remembered_with_its_reason(
    world: World, pool: Pool, transport: Transport, answer: str
) -> None:
    async with Upstream(says(_answer("1.00"))) as panel:
        provider = await world.provider(panel.url)
        catalogue = await adapt(provider, transport, KEYS)[0].services()
        done = await import_services(pool, provider, catalogue, _SETTINGS, BY_TEST)
        panel.behaviour = says(answer)
        await _make_due(pool)
        await _syncs(pool, transport).work()
        async with pool.acquire() as conn:
            [record] = await syncs.list_syncs(conn)
            due = await conn.fetchval("select next_at > now() from catalogue_sync")
        assert record.failure
        assert due
        assert await _rate(pool, done.added[0]) == 1_250_000
        panel.behaviour = says(_answer("1.00"))
        await _make_due(pool)
        await _syncs(pool, transport).work()
        async with pool.acquire() as conn:
            [record] = await syncs.list_syncs(conn)
        assert record.failure is None


async def test_an_account_in_another_currency_needs_an_exchange_rate(
    pool: Pool, transport: Transport
) -> None:
    euro = SettingsModel(exchange_rates={"EUR": "1.08"})
    async with Upstream(says('{"balance":"10.00","currency":"EUR"}')) as panel:
        account: dict[str, Any] = {"kind": "panel_v2", "url": panel.url, "key": "k", "options": {}}
        account |= {"keys": KEYS, "warrant": BY_TEST}
        async with pool.acquire() as conn:
            with pytest.raises(
                UserError, match=r"set exchange_rates\.EUR to what one EUR is worth"
            ):
                await add_provider(conn, transport, name="a", settings=_SETTINGS, **account)
            made = await add_provider(conn, transport, name="a", settings=euro, **account)
    assert made.currency == "EUR"


async def test_a_gateway_syncs_by_itself(world: World, open_gateway: Any, pool: Pool) -> None:
    async with Upstream(says(_answer("1.00"))) as panel:
        provider = await world.provider(panel.url)
        async with Transport() as transport:
            catalogue = await adapt(provider, transport, KEYS)[0].services()
        quick = {"sync_ms": 200}
        settings = SettingsModel(catalogue=quick)
        done = await import_services(pool, provider, catalogue, settings, BY_TEST)
        panel.behaviour = says(_answer("1.40"))
        async with open_gateway(catalogue=quick):

            async def followed() -> bool:
                return await _rate(pool, done.added[0]) == 1_750_000

            await eventually(followed)


async def test_an_import_leaves_alone_when_the_next_sync_is_and_what_it_compares_with(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    await _make_due(pool)
    before = await pool.fetchrow("select * from catalogue_sync")
    more = [replace(_ROW, service=str(n), rate=Decimal(9)) for n in range(1, 4)]
    await import_services(pool, provider, UpstreamCatalogue(tuple(more)), _SETTINGS, BY_TEST)
    assert await pool.fetchrow("select * from catalogue_sync") == before


async def test_an_import_before_the_first_sync_gives_it_something_to_compare_with(
    pool: Pool, provider: ProviderRecord
) -> None:
    async with pool.acquire() as conn:
        await syncs.insert_syncs(conn, [provider.id], 60_000)
        due = await conn.fetchval("select next_at from catalogue_sync")
        await import_services(pool, provider, UpstreamCatalogue((_ROW,)), _SETTINGS, BY_TEST)
        record = await syncs.get_sync(conn, provider.id)
        assert record is not None
        assert (record.rows, record.known, record.good_at is None) == (1, frozenset({"1"}), False)
        assert await conn.fetchval("select next_at from catalogue_sync") == due


async def test_an_account_that_is_worked_by_hand_has_no_catalogue_to_sync(
    pool: Pool, transport: Transport
) -> None:
    async with pool.acquire() as conn:
        await providers.insert_provider(conn, "people", "manual", "", "USD", "{}")
        people = await providers.get_provider(conn, "people")
        assert people is not None
        await _syncs(pool, transport).work()
        assert await syncs.list_syncs(conn) == []
        await syncs.insert_syncs(conn, [people.id], 60_000)
        await _make_due(pool)
        await _syncs(pool, transport).work()
        [record] = await syncs.list_syncs(conn)
        assert record.failure is None
        assert await conn.fetchval("select next_at <= now() from catalogue_sync")


async def test_a_sync_does_not_overwrite_what_an_operator_says_at_the_same_time(
    pool: Pool, provider: ProviderRecord, sold: int
) -> None:
    async with pool.acquire() as operator, pool.acquire() as watcher:

        async def waits() -> bool:
            return bool(
                await watcher.fetchval(
                    "select exists (select from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock')"
                )
            )

        async with operator.transaction():
            await operator.execute("update route set enabled = false, disabled_reason = 'no'")
            await operator.execute("update service set refill = false where id = $1", sold)
            changed = replace(_ROW, rate=Decimal("1.1"), minimum=20)
            sync = asyncio.create_task(_sync(pool, provider, changed))
            await eventually(waits)
        await sync
    service = await _service(pool, sold)
    assert (service.routes[0].enabled, service.routes[0].disabled_reason) == (False, "no")
    assert (service.routes[0].cost, service.minimum, service.refill) == (1_100_000, 20, False)
