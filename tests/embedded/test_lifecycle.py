"""Start, stop, start again: what lasts and what the engines are set to."""

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from gateway.embedded import (
    EmbeddedEngines,
    EmbeddedError,
    EnginesNotRunning,
    postgres,
    running_addresses,
    valkey,
)
from gateway.embedded.ports import HOST, free_port
from gateway.embedded.state import ADDRESSES, SECRETS
from tests.embedded.observe import connected, home_of, postmaster_of, until, valkey_of


def password(url: str) -> str:
    return url.split("@", maxsplit=1)[0].rsplit(":", maxsplit=1)[1]


async def test_second_start_keeps_rows_and_passwords(empty_dir: Path) -> None:
    async with EmbeddedEngines(empty_dir) as first, connected(first.database_url) as connection:
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")

    async with EmbeddedEngines(empty_dir) as second, connected(second.database_url) as connection:
        assert await connection.fetchval("SELECT n FROM kept") == 7

    assert password(first.database_url) == password(second.database_url)
    assert password(first.redis_url) == password(second.redis_url)


async def test_database_is_durable_private_and_in_utc(data_dir: Path) -> None:
    async with EmbeddedEngines(data_dir) as addresses, connected(addresses.database_url) as db:
        settings = {
            "data_checksums": "on",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "listen_addresses": "127.0.0.1",
            "password_encryption": "scram-sha-256",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "idle_in_transaction_session_timeout": "15s",
        }
        for name, value in settings.items():
            assert await db.fetchval("SELECT current_setting($1)", name) == value, name
        role = await db.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert tuple(role or ()) == (False, True, False)
        wrong = addresses.database_url.replace(password(addresses.database_url), "wrong")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)


async def test_application_role_can_make_databases_from_a_template(data_dir: Path) -> None:
    async with EmbeddedEngines(data_dir) as addresses, connected(addresses.database_url) as db:
        await db.execute("CREATE DATABASE template_of_a_test")
        await db.execute("CREATE DATABASE one_test TEMPLATE template_of_a_test")


async def test_valkey_asks_for_the_password_and_shows_it_nowhere(data_dir: Path) -> None:
    async with EmbeddedEngines(data_dir) as addresses:
        async with redis.asyncio.from_url(addresses.redis_url) as client:
            assert await client.set("key", "value")
        secret = password(addresses.redis_url)
        async with redis.asyncio.from_url(
            addresses.redis_url.replace(f":{secret}@", "")
        ) as stranger:
            with pytest.raises(redis.exceptions.AuthenticationError):
                await stranger.ping()
        command = f"/proc/{valkey_of(data_dir)}/cmdline"
        if Path(command).exists():
            assert secret not in Path(command).read_text()
        files = [path for path in home_of(data_dir).glob("*") if path.is_file()]
        assert files
        assert not any(secret in path.read_text() for path in files)
        assert secret not in repr(addresses)


async def test_secrets_and_addresses_are_for_their_owner_alone(empty_dir: Path) -> None:
    async with EmbeddedEngines(empty_dir):
        for name in (SECRETS, ADDRESSES):
            assert stat.S_IMODE((empty_dir / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(empty_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(home_of(empty_dir).stat().st_mode) == 0o700
    assert not (empty_dir / ADDRESSES).exists()
    with pytest.raises(EnginesNotRunning):
        running_addresses(empty_dir)


async def test_killed_postmaster_is_reported_and_the_next_start_recovers(data_dir: Path) -> None:
    engines = EmbeddedEngines(data_dir)
    addresses = await engines.start()
    try:
        async with connected(addresses.database_url) as connection:
            await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        os.kill(postmaster_of(data_dir), signal.SIGKILL)
        assert "PostgreSQL stopped unexpectedly: killed by signal 9" in await engines.wait_failed()
    finally:
        await engines.stop()

    async with EmbeddedEngines(data_dir) as again, connected(again.database_url) as connection:
        assert await connection.fetchval("SELECT n FROM kept") == 7


async def test_killed_valkey_is_reported(data_dir: Path) -> None:
    engines = EmbeddedEngines(data_dir)
    await engines.start()
    try:
        os.kill(valkey_of(data_dir), signal.SIGKILL)
        assert "Valkey stopped unexpectedly: killed by signal 9" in await engines.wait_failed()
    finally:
        await engines.stop()


async def test_data_of_another_postgresql_is_refused_in_one_line(data_dir: Path) -> None:
    (home_of(data_dir) / "pgdata" / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match=r"is of PostgreSQL 15, the bundled one is 18: .*") as e:
        await EmbeddedEngines(data_dir).start()
    assert "\n" not in str(e.value)


async def test_lost_passwords_are_named(data_dir: Path) -> None:
    (data_dir / SECRETS).unlink()
    with pytest.raises(EmbeddedError, match="restore it from a backup"):
        await EmbeddedEngines(data_dir).start()


async def test_foreign_passwords_are_named(data_dir: Path) -> None:
    (data_dir / SECRETS).write_text('{"superuser": "x", "database": "y", "redis": "z"}')
    with pytest.raises(EmbeddedError, match="restore both from the same backup"):
        await EmbeddedEngines(data_dir).start()
    await until(lambda: not (home_of(data_dir) / "pgdata" / "postmaster.pid").exists())


async def test_a_first_start_that_was_cut_off_is_completed_by_the_next(data_dir: Path) -> None:
    home = home_of(data_dir)
    # As after a kill in the middle of initdb: the draft is there, the data is not.
    (home / "pgdata").rename(home / "pgdata.new")
    (home / "initdb-password").write_text("left behind")
    async with EmbeddedEngines(data_dir) as addresses, connected(addresses.database_url) as db:
        assert await db.fetchval("SELECT 1") == 1
    assert not (home / "pgdata.new").exists()
    assert not (home / "initdb-password").exists()


async def test_a_port_that_was_taken_in_between_is_replaced(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        for engine in (postgres, valkey):
            ports = iter([taken.getsockname()[1], free_port()])
            monkeypatch.setattr(engine, "free_port", lambda ports=ports: next(ports))
        async with EmbeddedEngines(data_dir) as addresses, connected(addresses.database_url) as db:
            assert await db.fetchval("SELECT 1") == 1


async def test_cancelled_start_leaves_nothing_running(data_dir: Path) -> None:
    lock = home_of(data_dir) / "pgdata" / "postmaster.pid"
    engines = EmbeddedEngines(data_dir)
    start = asyncio.create_task(engines.start())
    await until(lock.exists)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not lock.exists()
    async with EmbeddedEngines(data_dir):
        pass


async def test_a_long_log_is_begun_anew(data_dir: Path) -> None:
    log = home_of(data_dir) / "postgres.log"
    length = 6_000_000
    log.write_text("x" * length)
    owner = home_of(data_dir).stat()
    os.chown(log, owner.st_uid, owner.st_gid)
    async with EmbeddedEngines(data_dir):
        assert log.stat().st_size < length
        assert (home_of(data_dir) / "postgres.log.old").stat().st_size == length
