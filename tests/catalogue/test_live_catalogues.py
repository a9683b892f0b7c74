"""Catalogues that live panels returned, imported end to end over loopback, twice."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogue.importing import Imported, import_services
from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.syncing import sync_catalogue
from gateway.catalogue.upstreams import adapt
from gateway.store import services, versions
from gateway.store.connection import Pool
from providers.transport import Transport
from schemas.config import SettingsModel
from schemas.providers import ProviderRecord
from tests.providers.wire import Upstream, says
from tests.world import BY_TEST, KEYS, World

CATALOGUES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "catalogues"
SETTINGS = SettingsModel(exchange_rates={"VND": "0.000039"})

needs_catalogues = pytest.mark.skipif(
    not CATALOGUES.exists(), reason=f"NO CATALOGUES AT {CATALOGUES}"
)


async def read(pool: Pool, provider: ProviderRecord) -> Imported:
    """Ask the panel for its catalogue, and import all of it."""
    async with Transport() as transport:
        catalogue = await adapt(provider, transport, KEYS)[0].services()
    return await import_services(pool, provider, catalogue, SETTINGS, BY_TEST)


@needs_catalogues
@pytest.mark.parametrize(
    ("name", "currency", "added", "refused"),
    [
        ("1-smm-api", "USD", 1282, {"2113": "the name is a separator: a heading, not a service"}),
        ("1-smm", "VND", 237, {}),
        ("2-martkingxanh", "USD", 350, {}),
    ],
)
async def test_a_live_catalogue_is_imported_and_a_second_time_changes_nothing(
    world: World, pool: Pool, name: str, currency: str, added: int, refused: dict[str, str]
) -> None:
    body = (CATALOGUES / f"{name}.json").read_bytes()
    async with Upstream(says(body)) as panel:
        provider = await world.provider(panel.url, currency=currency)
        done = await read(pool, provider)
        assert {row.service: row.reason for row in done.refused} == refused
        assert len(done.added) == added
        async with pool.acquire() as conn:
            before = await services.list_services(conn)
            version = await versions.get_catalogue_version(conn)
        again = await read(pool, provider)
        assert (len(again.added), len(again.known)) == (0, added)
        async with Transport() as transport:
            catalogue = await adapt(provider, transport, KEYS)[0].services()
        synced = await sync_catalogue(pool, provider, catalogue, SETTINGS)
        assert synced.is_empty
    async with pool.acquire() as conn:
        assert await services.list_services(conn) == before
        assert await versions.get_catalogue_version(conn) == version
        snapshot = await Catalogue().refresh(conn)
    unknown = [s for s in before if not s.enabled]
    assert all("is not known" in (s.disabled_reason or "") for s in unknown)
    assert len(snapshot.services) == added - len(unknown)
    assert all(s.rate > s.routes[0].cost for s in snapshot.services.values())


@needs_catalogues
async def test_dear_rows_of_a_weak_currency_are_sound_after_conversion(
    world: World, pool: Pool
) -> None:
    async with Upstream(says((CATALOGUES / "1-smm.json").read_bytes())) as panel:
        provider = await world.provider(panel.url, currency="VND")
        await read(pool, provider)
    rows: list[Any] = await pool.fetch(
        """select s.rate, r.cost from route_seen s join route r on r.id = s.route_id
            where s.rate > 99999"""
    )
    assert len(rows) == 35
    for row in rows:
        exact = row["rate"] * Decimal("0.000039") * 1_000_000
        assert exact <= row["cost"] < exact + 1
