"""Several processes and one data directory; processes that are killed."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import (
    EmbeddedEngines,
    EnginesBusy,
    EnginesNotRunning,
    erase,
    running_addresses,
)
from gateway.embedded.processes import start_mark
from gateway.embedded.state import ADDRESSES, record_addresses
from tests.embedded.observe import (
    connected,
    home_of,
    postmaster_of,
    supervisor,
    until,
    valkey_of,
)


async def write_until_cut_off(url: str, committed: list[int]) -> None:
    """Insert numbers one by one; `committed` gets those that the database confirmed."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE kept (n int)")
        for number in range(1_000_000):
            await connection.execute("INSERT INTO kept VALUES ($1)", number)
            committed.append(number)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


async def test_killed_supervisor_leaves_no_process_and_loses_no_row(data_dir: Path) -> None:
    committed: list[int] = []
    async with supervisor(data_dir) as (process, line):
        assert line == "ready"
        engines = [postmaster_of(data_dir), valkey_of(data_dir)]
        writer = asyncio.create_task(
            write_until_cut_off(running_addresses(data_dir).database_url, committed)
        )
        await until(lambda: len(committed) > 200)
        process.kill()
        await writer

    # At once: the old server may still be shutting down.
    async with EmbeddedEngines(data_dir) as addresses, connected(addresses.database_url) as db:
        rows = {row["n"] for row in await db.fetch("SELECT n FROM kept")}
        assert rows >= set(committed)
        assert len(rows) <= len(committed) + 1
        assert [start_mark(pid) for pid in engines] == [None, None]


async def test_nothing_outlives_a_killed_supervisor(data_dir: Path) -> None:
    async with supervisor(data_dir) as (process, _):
        engines = [postmaster_of(data_dir), valkey_of(data_dir)]
        process.kill()
    await until(lambda: not any(start_mark(pid) for pid in engines))
    assert not (home_of(data_dir) / "pgdata" / "postmaster.pid").exists()


async def test_start_recovers_when_supervisor_and_postmaster_were_killed(data_dir: Path) -> None:
    async with supervisor(data_dir) as (process, _):
        async with connected(running_addresses(data_dir).database_url) as connection:
            await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        os.kill(postmaster_of(data_dir), signal.SIGKILL)
        process.kill()
    async with EmbeddedEngines(data_dir) as addresses, connected(addresses.database_url) as db:
        assert await db.fetchval("SELECT n FROM kept") == 7


async def test_stale_lock_file_with_the_number_of_a_stranger_does_not_hinder(
    data_dir: Path,
) -> None:
    async with EmbeddedEngines(data_dir):
        lock = home_of(data_dir) / "pgdata" / "postmaster.pid"
        text = lock.read_text()
    lock.write_text(text.replace(text.splitlines()[0], str(os.getppid()), 1))
    async with EmbeddedEngines(data_dir):
        assert postmaster_of(data_dir) != os.getppid()


async def test_second_supervisor_is_refused_and_told_who_runs_them(data_dir: Path) -> None:
    async with supervisor(data_dir) as (process, _):
        with pytest.raises(EnginesBusy, match=f"already run by process {process.pid}: stop that"):
            await EmbeddedEngines(data_dir).start()
        with pytest.raises(EnginesBusy):
            erase(data_dir)
        # The refused one took nothing down.
        async with connected(running_addresses(data_dir).database_url) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_addresses_of_dead_or_unknown_supervisors_are_not_believed(data_dir: Path) -> None:
    with pytest.raises(EnginesNotRunning, match="start them first"):
        running_addresses(data_dir)
    async with EmbeddedEngines(data_dir) as addresses:
        assert running_addresses(data_dir) == addresses
        record_addresses(data_dir, addresses)
        record = (data_dir / ADDRESSES).read_text()
        # The same number, another process.
        mark = start_mark(os.getpid()) or ""
        (data_dir / ADDRESSES).write_text(record.replace(f'"{mark}"', '"1"'))
        with pytest.raises(EnginesNotRunning, match="start them first"):
            running_addresses(data_dir)


async def test_engines_run_in_sessions_of_their_own(data_dir: Path) -> None:
    """So that a terminal's Ctrl-C reaches the gateway alone."""
    async with EmbeddedEngines(data_dir):
        for pid in (postmaster_of(data_dir), valkey_of(data_dir)):
            assert os.getsid(pid) == pid


async def test_engines_do_not_start_from_a_thread_that_could_end_before(empty_dir: Path) -> None:
    async def start() -> None:
        await EmbeddedEngines(empty_dir).start()

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(asyncio.run, start())
