"""The ways out of the embedded engines: to a newer PostgreSQL, and to a server of one's own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.backups.moving import upgrade
from gateway.embedded import Addresses, EmbeddedEngines, EmbeddedError, erase, place
from gateway.embedded.binaries import DEBIAN_POSTGRES, binaries_at
from gateway.embedded.postgres import UPGRADED, Postgres
from gateway.embedded.state import load_secrets
from gateway.store.connection import open_pool
from gateway.store.migrate import migrate
from tests.cli.command import Command, Forks
from tests.world import World

#: The wheel brings the first; the others are tested where the system has them.
_OLD = [16, *sorted(int(p.name) for p in DEBIAN_POSTGRES.glob("1[3-57]"))]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data"
    yield path
    erase(path)


@pytest.fixture
def command(data_dir: Path, tmp_path: Path, forks: Forks) -> Command:
    """``smm-gateway`` on the data directory alone."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Command(folder, {"SMM_DATA_DIR": str(data_dir)}, forks)


@asynccontextmanager
async def _running(data_dir: Path, major: int | None) -> AsyncIterator[str]:
    """PostgreSQL of a version on a data directory, made when it is missing."""
    home = place.prepare(data_dir)
    server = Postgres(home, binaries_at(home, major), load_secrets(home))
    try:
        yield await server.start()
    finally:
        await server.stop()


async def _fill(url: str) -> None:
    pool = await open_pool(url, size=3)
    async with pool.acquire() as conn:
        await migrate(conn)
    world = World(pool)
    await world.service(await world.provider("http://127.0.0.1:9/api/v2"))
    for number in range(3):
        await world.reseller(f"reseller-{number}", funds="12.345678")
    # More than one piece, with everything that a text can hold.
    await pool.execute(
        """insert into provider (name, kind, url, currency, paused_reason)
           select 'p' || n, 'panel_v2', 'tab\t back\\slash "quote" ' || repeat('é', 300),
                  'USD', null
             from generate_series(1, 2000) n"""
    )
    await pool.close()


async def _print_of(url: str) -> dict[str, object]:
    """What tells one database from another: all rows of its tables, and its next ids."""
    pool = await open_pool(url, size=3)
    tables = [
        row["name"]
        for row in await pool.fetch(
            """select relname as name from pg_class c join pg_namespace n on n.oid = relnamespace
                where nspname = 'public' and relkind in ('r', 'p', 'v')"""
        )
    ]
    found: dict[str, object] = {
        name: await pool.fetchval(
            f"""select count(*) || md5(coalesce(string_agg(t::text, E'\\n' order by t::text), ''))
                  from {name} t"""
        )
        for name in sorted(tables)
    }
    found["next"] = await pool.fetchval("select nextval('order_id')")
    found["indexes"] = await pool.fetchval(
        "select array_agg(indexname::text order by indexname) from pg_indexes"
        " where schemaname = 'public'"
    )
    found["triggers"] = await pool.fetchval(
        "select count(*) from pg_trigger where not tgisinternal"
    )
    await World(pool).assert_sound()
    await pool.close()
    return found


@pytest.mark.parametrize("major", _OLD)
async def test_data_of_an_older_version_is_upgraded_and_kept_aside(
    data_dir: Path, command: Command, major: int
) -> None:
    async with _running(data_dir, major) as url:
        await _fill(url)
    async with _running(data_dir, major) as url:
        before = await _print_of(url)

    refused = await command.run("serve", security__pepper="p" * 32)
    assert f"is of PostgreSQL {major}, the bundled one is 18" in refused.complaint
    assert "smm-gateway embedded upgrade" in refused.complaint
    assert "smm-gateway embedded export --to URL" in refused.complaint

    done = await command.json_with_steps("embedded", "upgrade")
    assert (done["before"], done["after"]) == (major, 18)
    kept = Path(done["kept"])
    assert (kept / "PG_VERSION").read_text().strip() == str(major)
    async with EmbeddedEngines(data_dir) as addresses:
        after = await _print_of(addresses.database_url)
    # The statement's own look took an id from the old one.
    assert after.pop("next") == before.pop("next") + 64  # type: ignore[operator]
    assert after == before
    assert await command.json("embedded", "upgrade") is None


async def test_an_upgrade_that_fails_its_audit_changes_nothing(
    data_dir: Path, command: Command
) -> None:
    async with _running(data_dir, 16) as url:
        await _fill(url)
        conn = await asyncpg.connect(url)
        await conn.execute("update balance set amount = amount + 1 where reseller_id = 1")
        await conn.close()
    done = await command.run("embedded", "upgrade")
    assert done.code == 2
    assert "the audit of the copy failed (balance_is_history" in done.error.splitlines()[-1]
    home = place.prepare(data_dir).home
    assert (home / "pgdata" / "PG_VERSION").read_text().strip() == "16"
    assert not [path for path in home.iterdir() if path.name.startswith(("pgdata", "upgr"))][1:]


async def test_an_upgrade_cut_off_between_its_renames_is_finished_by_the_next_start(
    data_dir: Path,
) -> None:
    async with EmbeddedEngines(data_dir) as addresses:
        await _fill(addresses.database_url)
    home = place.prepare(data_dir).home
    (home / "pgdata").rename(home / UPGRADED)
    async with EmbeddedEngines(data_dir) as addresses:
        conn = await asyncpg.connect(addresses.database_url)
        assert await conn.fetchval("select count(*) from reseller") == 3
        await conn.close()


async def test_a_version_whose_programs_are_nowhere_is_one_line(
    data_dir: Path, command: Command
) -> None:
    async with EmbeddedEngines(data_dir):
        pass
    (place.prepare(data_dir).home / "pgdata" / "PG_VERSION").write_text("12\n")
    for line in (["upgrade"], ["export", "--to", "postgresql://127.0.0.1:9/x"]):
        done = await command.run("embedded", *line)
        assert "the programs of PostgreSQL 12 are not on this machine" in done.complaint


async def test_what_is_not_there_or_running_is_one_line(data_dir: Path, command: Command) -> None:
    missing = await command.run("embedded", "upgrade")
    assert "there is no data directory" in missing.complaint
    data_dir.mkdir()
    empty = await command.run("embedded", "upgrade")
    assert "holds no data" in empty.complaint
    async with EmbeddedEngines(data_dir):
        busy = await command.run("embedded", "export", "--to", "postgresql://127.0.0.1:9/x")
        assert "are already run by process" in busy.complaint
        with pytest.raises(EmbeddedError):
            await upgrade(data_dir, lambda _: None)


@pytest.mark.parametrize("major", [None, 16])
async def test_export_brings_everything_to_another_server_of_any_version(
    data_dir: Path, command: Command, tmp_path: Path, major: int | None
) -> None:
    async with EmbeddedEngines(data_dir) as addresses:
        await _fill(addresses.database_url)
    async with EmbeddedEngines(data_dir) as addresses:
        before = await _print_of(addresses.database_url)
    other = tmp_path / "other"
    try:
        async with _running(other, major) as url:
            done = await command.run("embedded", "export", "--to", url)
            assert done.code == 0, done
            assert "SMM_DATABASE__URL" in done.out
            assert "SMM_REDIS__URL" in done.out
            assert str(urlsplit(url).password) not in done.out + done.error
            after = await _print_of(url)
            assert after.pop("next") == before.pop("next") + 64  # type: ignore[operator]
            assert after == before
            again = await command.run("embedded", "export", "--to", url)
            assert "is not empty: make a new one" in again.error.splitlines()[-1]
    finally:
        erase(other)


async def test_an_export_that_cannot_reach_its_server_says_so_without_the_password(
    data_dir: Path, command: Command, engines: Addresses
) -> None:
    async with EmbeddedEngines(data_dir):
        pass
    for url in (
        "postgresql://u:secret@127.0.0.1:9/x",
        engines.database_url.replace("smm:", "smm:secret"),
    ):
        done = await command.run("embedded", "export", "--to", url)
        assert done.code == 2
        assert "cannot be reached" in done.error.splitlines()[-1]
        assert "secret" not in done.out + done.error
