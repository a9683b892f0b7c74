"""Rows of an upstream that cannot be sold, end to end: each costs itself and nothing else."""

import json
from typing import Any

import pytest

from gateway.catalogue.importing import import_services
from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.syncing import sync_catalogue
from gateway.catalogue.upstreams import adapt
from gateway.store.connection import Pool
from providers.transport import Transport
from schemas.config import SettingsModel
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamCatalogue
from tests.providers.wire import Upstream, says
from tests.world import BY_TEST, KEYS, World

_SETTINGS = SettingsModel()
_SOUND = {
    "service": "1",
    "name": "Followers",
    "type": "Default",
    "category": "Instagram",
    "rate": "1.00",
    "min": "10",
    "max": "1000",
}
_OTHER = _SOUND | {"service": "2"}


def _answer(*rows: dict[str, Any]) -> str:
    return json.dumps(rows)


async def _read(provider: ProviderRecord) -> UpstreamCatalogue:
    async with Transport() as transport:
        return await adapt(provider, transport, KEYS)[0].services()


async def _for_sale(pool: Pool) -> set[str]:
    async with pool.acquire() as conn:
        snapshot = await Catalogue().refresh(conn)
    return {service.routes[0].upstream_service for service in snapshot.services.values()}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("A\0B", "A B"),
        ("A\r\n\tB\x1b[31m", "A B [31m"),
        ("A\u202egnp.B\u2066", "Agnp.B"),
        ("A\ud83dB", "AB"),
        ("x" * 10_000, "x" * 255),
        ("🔥 ⚡ A", "🔥 ⚡ A"),
    ],
)
async def test_names_are_cleaned(world: World, pool: Pool, name: str, kept: str) -> None:
    async with Upstream(says(_answer(_SOUND | {"name": name, "category": name}))) as panel:
        provider = await world.provider(panel.url)
        await import_services(pool, provider, await _read(provider), _SETTINGS, BY_TEST)
    row = await pool.fetchrow("select name, category from service")
    assert tuple(row or ()) == (kept, kept)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": "abc"},
        {"rate": ""},
        {"rate": -1},
        {"rate": 0},
        {"rate": 1e9},
        {"rate": "0,90"},
        {"rate": "NaN"},
        {"rate": None},
        {"min": "2000"},
        {"min": "1k"},
        {"max": 0},
        {"name": ""},
    ],
)
async def test_a_row_that_went_bad_is_off_until_it_is_sound_again(
    world: World, pool: Pool, changes: dict[str, Any]
) -> None:
    async with Upstream(says(_answer(_SOUND, _OTHER))) as panel:
        provider = await world.provider(panel.url)
        await import_services(pool, provider, await _read(provider), _SETTINGS, BY_TEST)
        panel.behaviour = says(_answer(_SOUND | changes, _OTHER))
        found = await sync_catalogue(pool, provider, await _read(provider), _SETTINGS)
        assert [(c.kind.value, c.upstream_service) for c in found.changes] == [("refused", "1")]
        assert await _for_sale(pool) == {"2"}
        assert (await sync_catalogue(pool, provider, await _read(provider), _SETTINGS)).is_empty
        panel.behaviour = says(_answer(_SOUND, _OTHER))
        await sync_catalogue(pool, provider, await _read(provider), _SETTINGS)
        assert await _for_sale(pool) == {"1", "2"}
