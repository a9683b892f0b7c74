"""Looks at engines from outside: their processes, folders and rows."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from gateway.embedded import place

DEADLINE_SECONDS = 30.0


def home_of(data_dir: Path) -> Path:
    pointer = data_dir / place.POINTER
    if pointer.exists():
        return place.SYSTEM_DIR / pointer.read_text().strip()
    return data_dir / place.LOCAL_HOME


def postmaster_of(data_dir: Path) -> int:
    lock = home_of(data_dir) / "pgdata" / "postmaster.pid"
    return int(lock.read_text().splitlines()[0])


def valkey_of(data_dir: Path) -> int:
    return int((home_of(data_dir) / "valkey.pid").read_text())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, and fail when it does not come true in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def supervisor(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process that runs engines, and the first line it printed; stopped at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.embedded.supervisor",
        str(data_dir),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.communicate()
