"""Secrets in the database: sealed, bound to their place, brought over from before, and renewed."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.catalogue.upstream_secrets import opened
from gateway.catalogue.upstreams import adapt, find_provider
from gateway.config import Settings, load_settings
from gateway.database import migrate_database
from gateway.errors import UserError
from gateway.resealing import reseal
from gateway.sealing import MasterKeys, SealError, new_key
from gateway.store import migrate as migrating
from gateway.store import providers, secrets
from gateway.store.connection import Connection, Pool
from gateway.store.migrate import migrate, migrations
from providers.account import BadAccount
from providers.transport import Transport
from schemas.secrets import SecretName
from tests.cli.command import Command
from tests.conftest import OpenGateway
from tests.world import KEYS, MASTER_KEYS, PEPPER, World

_KEY = "canary-provider-key-6dc3"
_HEADER = "canary-header-value-9f1e"


async def _everything(conn: Connection) -> str:
    """All rows of all tables as text, what is binary also as the text that it may hold."""
    tables = await conn.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    )
    found = []
    for table in tables:
        for row in await conn.fetch(f'select * from "{table["relname"]}"'):
            found += [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in row.values()]
    return "\n".join(found)


async def test_a_dump_of_the_database_holds_no_secret(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    provider = await world.provider("http://127.0.0.1:9/", _KEY, headers={"X-Shop": _HEADER})
    async with pool.acquire() as conn:
        dump = await _everything(conn)
    assert provider.name in dump
    for secret in (_KEY, _HEADER, customer.key, PEPPER, MASTER_KEYS):
        assert secret not in dump
    terms = opened(provider, KEYS)
    assert (terms.key, terms.options["headers"]) == (_KEY, {"X-Shop": _HEADER})
    assert _KEY not in repr(provider) + repr(terms)
    assert _HEADER not in repr(provider) + repr(terms)


async def test_a_seal_that_is_put_into_another_row_opens_no_account(
    world: World, pool: Pool
) -> None:
    rich = await world.provider("http://127.0.0.1:9/", _KEY, "rich")
    other = await world.provider("http://127.0.0.1:9/", "another", "other")
    await pool.execute(
        """update secret to_ set key_id = from_.key_id, sealed = from_.sealed from secret from_
            where to_.owner_id = $1 and from_.owner_id = $2""",
        other.id,
        rich.id,
    )
    async with pool.acquire() as conn, Transport() as transport:
        moved = await find_provider(conn, "other")
        with pytest.raises(BadAccount, match=f"provider:{other.id}:key does not open"):
            adapt(moved, transport, KEYS)


@pytest.fixture
async def database_of_before(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A database of the last version that kept provider keys in plain text, with two accounts."""
    older = [(name, sql) for name, sql in migrations() if name < "0015"]
    async with pool.acquire() as conn:
        await conn.execute("drop schema public cascade; create schema public")
        with monkeypatch.context() as patch:
            patch.setattr(migrating, "migrations", lambda: older)
            await migrate(conn)
        await conn.executemany(
            """insert into provider (name, kind, url, key, currency, options)
               values ($1, $2, 'http://127.0.0.1:9/', $3, 'USD', $4)""",
            [
                ("panel", "panel_v2", _KEY, json.dumps({"headers": {"X-Shop": _HEADER}})),
                ("people", "manual", "", "{}"),
            ],
        )
    return pool


def _settings(tmp_path: Path, keys: str | None) -> Settings:
    security = {"pepper": PEPPER, "master_keys": keys}
    return load_settings(data_dir=tmp_path / "data", security=security)


async def test_secrets_of_an_older_version_are_sealed_by_migrate(
    database_of_before: Pool, database_url: str, tmp_path: Path
) -> None:
    await migrate_database(_settings(tmp_path, MASTER_KEYS), database_url)
    async with database_of_before.acquire() as conn:
        panel, people = await providers.list_providers(conn)
        assert await secrets.count_secrets(conn) == {KEYS.current: 2}
        dump = await _everything(conn)
    assert _KEY not in dump
    assert _HEADER not in dump
    terms = opened(panel, KEYS)
    assert (terms.key, terms.options) == (_KEY, {"headers": {"X-Shop": _HEADER}})
    assert opened(people, KEYS).key == ""


async def test_migrate_without_a_master_key_says_so_and_can_be_repeated(
    database_of_before: Pool, database_url: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match="no master key: set SMM_SECURITY__MASTER_KEYS"):
            await migrate_database(_settings(tmp_path, None), database_url)
    # A gateway that has the key does not start either, while something is in plain text.
    url = "redis://127.0.0.1:9/0"
    with pytest.raises(UserError, match="2 stored secrets are not sealed yet: run `smm-gateway mi"):
        await Gateway(_settings(tmp_path, MASTER_KEYS), database_url, url).__aenter__()
    assert await migrate_database(_settings(tmp_path, MASTER_KEYS), database_url) == []
    async with database_of_before.acquire() as conn:
        assert opened(await find_provider(conn, "panel"), KEYS).key == _KEY


async def test_ten_thousand_seals_are_renewed_under_load_and_after_being_cut_off(
    pool: Pool, world: World
) -> None:
    old, new = MASTER_KEYS, new_key()
    both = MasterKeys.read(f"{new} {old}")
    provider = await world.provider("http://127.0.0.1:9/", _KEY)
    names = [SecretName("webhook", number, "secret") for number in range(10_000)]
    sealed = [(name, KEYS.seal(name, f"secret {name}")) for name in names]
    await pool.executemany(
        "insert into secret (owner, owner_id, name, key_id, sealed) values ($1, $2, $3, $4, $5)",
        [(*name, seal.key_id, seal.sealed) for name, seal in sealed],
    )
    done = asyncio.Event()
    read = 0

    async def work(offset: int) -> None:
        """Processes read while it goes on; those with the new settings also change some."""
        nonlocal read
        while not done.is_set():
            name = names[(read * 7919 + offset) % len(names)]
            async with pool.acquire() as conn:
                found = await secrets.get_secret(conn, name)
                assert found is not None
                assert both.open(name, found) == f"secret {name}"
                if read % 10 == 0:
                    await secrets.set_secret(conn, name, both.seal(name, f"secret {name}"))
            read += 1

    class CutOff(Exception):
        pass

    def cut_off(renewed: int) -> None:
        raise CutOff

    async with asyncio.TaskGroup() as group:
        for offset in range(4):
            group.create_task(work(offset))
        with pytest.raises(CutOff):
            await reseal(pool, both, cut_off)
        async with pool.acquire() as conn:
            assert set(await secrets.count_secrets(conn)) == {KEYS.current, both.current}
        # Two at once share the work.
        shared = await asyncio.gather(reseal(pool, both), reseal(pool, both))
        done.set()
    assert read > 0
    assert sum(shared) < 10_001
    alone = MasterKeys.read(new)
    async with pool.acquire() as conn:
        assert await secrets.count_secrets(conn) == {alone.current: 10_001}
        for name in names[::97]:
            found = await secrets.get_secret(conn, name)
            assert found is not None
            assert alone.open(name, found) == f"secret {name}"
            with pytest.raises(SealError):
                KEYS.open(name, found)
        # To the lanes of an account nothing has changed: no order waits for a new adapter.
        assert (await find_provider(conn, provider.name)) == provider
        assert opened(await find_provider(conn, provider.name), alone).key == _KEY


async def test_a_gateway_that_lacks_the_key_of_a_secret_does_not_start(
    world: World, open_gateway: OpenGateway
) -> None:
    await world.provider("http://127.0.0.1:9/", _KEY)
    with pytest.raises(UserError, match=f"1 stored secrets are .* {KEYS.current}, which is not"):
        async with open_gateway(security={"master_keys": new_key()}):
            pass
    async with open_gateway(security={"master_keys": f"{new_key()} {MASTER_KEYS}"}):
        pass


async def test_an_operator_changes_the_master_key(
    world: World, pool: Pool, command: Command
) -> None:
    provider = await world.provider("http://127.0.0.1:9/", _KEY)
    new = (await command.run("secret", "new-key")).out.strip()
    ids = MasterKeys.read(new).current, KEYS.current
    both = f"{new} {MASTER_KEYS}"

    async def status(keys: str) -> list[tuple[str, str, int]]:
        done = await command.run("secret", "status", "--json", security__master_keys=keys)
        rows = [row for row in json.loads(done.out) if row["kind"] == "master key"]
        return [(row["id"], row["is"], row["protects"]) for row in rows]

    assert await status(both) == [(ids[0], "current", 0), (ids[1], "old", 1)]
    lacking = await command.run("secret", "rotate", security__master_keys=new)
    assert f"under master key {ids[1]}, which is not among" in lacking.complaint
    rotated = await command.run("secret", "rotate", security__master_keys=both)
    assert (rotated.code, rotated.error) == (0, "sealed anew: 1\n")
    assert f"not needed any more: {ids[1]}" in rotated.out
    assert await status(new) == [(ids[0], "current", 1)]
    assert await status(MASTER_KEYS) == [(ids[1], "current", 0), (ids[0], "missing", 1)]
    async with pool.acquire() as conn:
        assert opened(await find_provider(conn, provider.name), MasterKeys.read(new)).key == _KEY


async def test_serving_without_a_master_key_is_refused(command: Command) -> None:
    missing = await command.run("serve", "--port", "0", security__master_keys=None)
    assert "set SMM_SECURITY__MASTER_KEYS to what `smm-gateway secret new-key`" in missing.complaint
    bad = await command.run("serve", "--port", "0", security__master_keys="canary no key")
    assert "security.master_keys: number 1 is not 32 bytes in base64" in bad.complaint
    assert "canary" not in bad.complaint
