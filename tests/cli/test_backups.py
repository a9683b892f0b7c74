"""Backups as an operator makes them: of a shop at work, checked, and brought back to life."""

import asyncio
import functools
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.backups.creating import prune
from gateway.backups.record import damage, read_record
from gateway.backups.restoring import ids_to_skip
from gateway.embedded import EmbeddedEngines, erase, superuser_url
from gateway.errors import UserError
from gateway.resellers.keys import KeyRing
from gateway.store import versions
from gateway.store.connection import open_pool
from gateway.store.migrate import migrate
from tests.architecture import ROOT
from tests.cli.backed_up import Shop, open_shop
from tests.cli.command import Forks
from tests.conftest import eventually
from tests.faults.journal import Add, Journal, Outcome
from tests.faults.load import Caller, Load, Offer
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.world import PEPPERS, Customer, World


@pytest.fixture(scope="module")
async def shop(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path_factory.mktemp("shop"), forks) as opened:
        yield opened


@pytest.fixture(scope="module")
async def backup(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound backup, to be copied before it is damaged."""
    made = await shop.command.json_with_steps(
        "backup", "create", tmp_path_factory.mktemp("backups") / "nightly"
    )
    return Path(made["path"])


@pytest.fixture
def copy(backup: Path, tmp_path: Path) -> Path:
    """A copy of the sound backup."""
    to = tmp_path / backup.name
    shutil.copytree(backup, to)
    return to


def _acknowledged(load: Load) -> list[Add]:
    return [add for add in load.adds if add.outcome is Outcome.OK]


async def test_a_backup_under_load_has_all_that_was_acknowledged_before_it_began(
    shop: Shop, tmp_path: Path
) -> None:
    customers = [await shop.world.reseller(f"under-load-{n}") for n in range(4)]
    load = Load(
        [shop.gateway.api_url],
        [Caller(customer) for customer in customers],
        Offer(shop.service, 50),
        Journal(),
        seed=1,
        most=100_000,
        longest_thought=0.02,
    )
    async with load:
        load.go()

        async def busy() -> bool:
            return len(_acknowledged(load)) > 50

        await eventually(busy)
        before = _acknowledged(load)
        made = await shop.command.run("backup", "create", tmp_path / "backups")
        assert made.code == 0, made
        after = len(_acknowledged(load))
    assert after > len(before), "the load did not go on while the backup was made"
    [path] = (tmp_path / "backups").iterdir()
    assert "restores" in (await shop.command.run("backup", "verify", path)).out

    restored = tmp_path / "restored"
    try:
        told = await shop.command.json_with_steps("backup", "restore", path, "--to", restored)
        assert told["audit"] == "ok"
        assert told["paused"] == ["upstream"]
        assert not list(restored.glob("**/restoring"))
        # No id that any client was told is ever given again.
        assert told["next_order_id"] > max(a.order_id or 0 for a in load.adds) + 900_000
        await _assert_sells_again(restored, before, customers[0], tmp_path / "gateway.log")
    finally:
        erase(restored)


async def _assert_sells_again(
    data_dir: Path, before: list[Add], customer: Customer, log: Path
) -> None:
    async with EmbeddedEngines(data_dir) as addresses:
        pool = await open_pool(addresses.database_url, size=3)
        rows = await pool.fetch("select id, link from orders")
        kept = {row["id"]: row["link"] for row in rows}
        assert {a.order_id: a.link for a in before}.items() <= kept.items()
        assert await KeyRing(pool, PEPPERS).open(customer.key) is not None
        async with (
            GatewayProcess(addresses.database_url, addresses.redis_url, log) as gateway,
            PanelClient(gateway.url, customer.key) as client,
        ):
            [service] = await client.call("services")
            order = await client.add(service["service"], 100, "https://a.example/new")
        assert order > max(kept)
        # Nothing goes out by itself: what is queued may have been sent after the backup.
        assert await pool.fetchval("select state from orders where id = $1", order) == "queued"
        await World(pool).assert_sound()
        await pool.close()


def test_a_backup_is_for_its_owner_alone(backup: Path) -> None:
    for path in (backup.parent, backup, *backup.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_no_secret_is_printed_and_what_is_missing_is_said(shop: Shop, tmp_path: Path) -> None:
    made = await shop.command.run("backup", "create", tmp_path / "backups")
    assert "NOT in it is the pepper" in made.out
    assert "Valkey needs no backup" in made.out
    text = made.out + made.error
    [path] = (tmp_path / "backups").iterdir()
    text += (path / "backup.json").read_text()
    passwords = (shop.data_dir / "secrets.json").read_text().split('"')[3::4]
    assert len(passwords) == 3
    assert not any(password in text for password in passwords)


async def test_a_server_of_ones_own_is_backed_up_and_restored_under_the_embedded_names(
    shop: Shop, tmp_path: Path
) -> None:
    superuser = superuser_url(shop.data_dir)
    await shop.superuser("create role seller login replication password 'word'", superuser)
    await shop.superuser('create database "my shop" owner seller', superuser)
    address = urlsplit(shop.addresses.database_url)
    url = f"postgresql://seller:word@{address.hostname}:{address.port}/my%20shop?sslmode=disable"
    pool = await open_pool(url, size=2)
    async with pool.acquire() as conn:
        await migrate(conn)
        mark = await versions.get_database_mark(conn)
    await World(pool).reseller("regular")
    await pool.close()
    own = {"database__url": url, "redis__url": shop.addresses.redis_url}
    made = await shop.command.run("backup", "create", tmp_path / "backups", **own)
    assert made.code == 0, made
    assert "word" not in made.out + made.error
    [path] = (tmp_path / "backups").iterdir()
    to = tmp_path / "to"
    try:
        told = await shop.command.json_with_steps("backup", "restore", path, "--to", to)
        assert told["audit"] == "ok"
        async with EmbeddedEngines(to) as addresses:
            pool = await open_pool(addresses.database_url, size=2)
            assert await pool.fetchval("select name from reseller") == "regular"
            async with pool.acquire() as conn:
                assert await versions.get_database_mark(conn) != mark
            # The next migration needs more than the right to read.
            await pool.execute("alter table reseller add column added int")
            await pool.close()
    finally:
        erase(to)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _largest(backup: Path, pattern: str) -> Path:
    return max(backup.glob(pattern), key=lambda path: path.stat().st_size)


_DAMAGES: dict[str, tuple[Any, str]] = {
    "one bit of a table": (lambda b: _flip(_largest(b, "data/base/*/[0-9]*")), "has changed"),
    "one bit of the WAL": (lambda b: _flip(_largest(b, "data/pg_wal/0*")), "has changed"),
    "one bit of the manifest": (lambda b: _flip(b / "data/backup_manifest"), "has changed"),
    "a file that is gone": (lambda b: _largest(b, "data/base/*/[0-9]*").unlink(), "is missing"),
    "WAL that is gone": (lambda b: _largest(b, "data/pg_wal/0*").unlink(), "is missing"),
    "a manifest that is gone": (lambda b: (b / "data/backup_manifest").unlink(), "is missing"),
    "a file too many": (lambda b: (b / "data/standby.signal").touch(), "does not belong"),
    "a shorter file": (lambda b: os.truncate(b / "data/PG_VERSION", 1), "has changed"),
}


@pytest.mark.parametrize("name", _DAMAGES)
def test_damage_is_found(copy: Path, name: str) -> None:
    assert damage(copy, read_record(copy)) == []
    harm, words = _DAMAGES[name]
    harm(copy)
    found = damage(copy, read_record(copy))
    assert len(found) == 1
    assert words in found[0]


async def test_verify_and_restore_refuse_a_damaged_backup(
    shop: Shop, copy: Path, tmp_path: Path
) -> None:
    _flip(_largest(copy, "data/base/*/[0-9]*"))
    for flags in (["--quick"], []):
        done = await shop.command.run("backup", "verify", copy, *flags)
        assert done.code == 1
        assert done.out.startswith("DAMAGED  base/")
    done = await shop.command.run("backup", "restore", copy, "--to", tmp_path / "to")
    assert done.code == 2
    assert "is damaged (base/" in done.error.splitlines()[-1]
    assert not (tmp_path / "to").exists()


async def test_restore_refuses_a_folder_that_is_not_empty(
    shop: Shop, backup: Path, tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "file").write_text("precious")
    done = await shop.command.run("backup", "restore", backup, "--to", tmp_path / "to")
    assert "is not empty" in done.complaint
    assert [p.name for p in (tmp_path / "to").iterdir()] == ["file"]


async def test_what_cannot_be_done_is_one_line(shop: Shop, backup: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    to = ["--to", tmp_path / "to"]
    lines: dict[str, list[object]] = {
        "has no backup.json": ["verify", tmp_path / "empty"],
        "nowhere is no backup": ["restore", tmp_path / "nowhere", *to],
        "cannot make": ["create", tmp_path / "file" / "backups"],
        "add the time zone": ["restore", backup, *to, "--until", "2026-01-01 12:00:00"],
        'or "latest"': ["restore", backup, *to, "--until", "yesterday"],
        "is before the end of this backup": [
            *("restore", backup, *to, "--until", "2020-01-01 12:00:00+00")
        ],
    }
    for words, line in lines.items():
        assert words in (await shop.command.run("backup", *line)).complaint, line
    stopped = await shop.command.run("backup", "create", data_dir=str(tmp_path / "empty"))
    assert "no engines are running" in stopped.complaint
    foreign = await shop.command.run(
        *("backup", "create", tmp_path / "backups"),
        database__url=shop.addresses.database_url,
        redis__url=shop.addresses.redis_url,
    )
    assert "alter role smm replication" in foreign.complaint
    assert not (tmp_path / "backups").exists()


async def _begin_backup(shop: Shop, into: Path) -> asyncio.subprocess.Process:
    """A backup that is just being made."""
    while True:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "backup", "create", str(into)),
            cwd=ROOT,
            env={**os.environ, **shop.command.settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        look = functools.partial(_is_copying, process, into)
        if await eventually(look, seconds=60, every=0.001) == "copying":
            return process
        # Faster than we could look: once more.
        await process.communicate()
        shutil.rmtree(into)


async def _is_copying(process: asyncio.subprocess.Process, into: Path) -> str:
    if process.returncode is not None:
        return "ended"
    return "copying" if list(into.glob("*.partial/data")) else ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_a_backup_that_was_cut_off_is_never_taken_for_one(
    shop: Shop, tmp_path: Path, number: signal.Signals
) -> None:
    into = tmp_path / "backups"
    process = await _begin_backup(shop, into)
    process.send_signal(number)
    _, error = await process.communicate()
    assert b"Traceback" not in error
    assert process.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 130)
    left = list(into.iterdir())
    if number is not signal.SIGKILL:
        assert left == []
    for path in left:
        assert (
            "its making was cut off" in (await shop.command.run("backup", "verify", path)).complaint
        )
        with pytest.raises(UserError):
            read_record(path)


async def test_old_backups_are_deleted_and_what_is_not_whole_is_not_counted(
    shop: Shop, backup: Path, tmp_path: Path
) -> None:
    for day in ("01", "02", "03"):
        shutil.copytree(backup, tmp_path / f"smm-backup-202601{day}T000000Z")
    (tmp_path / "smm-backup-20260109T000000Z.partial").mkdir()
    (tmp_path / "smm-backup-20260110T000000Z").mkdir()
    assert [path.name for path in prune(tmp_path, 2)] == ["smm-backup-20260101T000000Z"]
    made = await shop.command.json_with_steps("backup", "create", tmp_path, "--keep", "1")
    assert len(made["deleted"]) == 2
    whole = [p for p in tmp_path.iterdir() if (p / "backup.json").exists()]
    assert [str(path) for path in whole] == [made["path"]]


def test_so_many_ids_are_passed_over_as_may_have_been_told() -> None:
    assert ids_to_skip(1) == 1_000_000
    assert ids_to_skip(5_000_000) == 5_000_000
    assert ids_to_skip(900_000_000) == 20_000_000


async def test_the_database_knows_which_backups_were_made_and_proven(
    shop: Shop, backup: Path, copy: Path
) -> None:
    record = read_record(backup)

    async def proven() -> bool | None:
        async with shop.world.pool.acquire() as conn:
            row = await conn.fetchrow(
                "select path, bytes, verified_at is not null from backup where finished_at = $1",
                datetime.fromisoformat(record.finished_at),
            )
        assert row is not None
        assert tuple(row)[:2] == (str(backup), record.bytes)
        return bool(row[2])

    assert not await proven()
    done = await shop.command.run("backup", "verify", "--quick", backup)
    assert done.code == 0
    assert not await proven()  # checksums are no proof that it restores
    done = await shop.command.run("backup", "verify", copy)  # wherever it was copied to
    assert done.code == 0, done
    assert "not noted" not in done.error
    assert await proven()


async def test_a_backup_is_good_also_where_nobody_can_note_it(
    shop: Shop, backup: Path, tmp_path: Path
) -> None:
    nowhere = {"data_dir": str(tmp_path / "none"), "backup__archive_dir": None}
    done = await shop.command.run("backup", "verify", backup, **nowhere)
    assert done.code == 0, done
    assert "not noted in a database" in done.error
