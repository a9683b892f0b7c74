"""A shop on engines of its own, which backups are made of."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.app import Gateway
from gateway.config import load_settings
from gateway.embedded import Addresses, EmbeddedEngines, erase, place
from gateway.store.connection import open_pool
from gateway.store.migrate import migrate
from tests.cli.command import Command, Forks
from tests.sandbox_process import SandboxProcess
from tests.world import SECURITY, World


@dataclass(frozen=True, slots=True)
class Shop:
    """Engines that run on ``data_dir``, with a gateway on them and a command line for them."""

    data_dir: Path
    archive_dir: Path
    addresses: Addresses
    world: World
    gateway: Gateway
    command: Command
    service: int

    async def superuser(self, statement: str, url: str) -> object:
        """What one statement gives to the superuser at ``url``."""
        conn = await asyncpg.connect(url)
        try:
            return await conn.fetchval(statement)
        finally:
            await conn.close()


@asynccontextmanager
async def open_shop(folder: Path, forks: Forks) -> AsyncIterator[Shop]:
    """A shop that sells what a sandbox panel delivers; nothing of it is left behind."""
    data_dir, archive_dir = folder / "data", _open_folder(folder)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    env = {"SMM_DATA_DIR": str(data_dir), "SMM_BACKUP__ARCHIVE_DIR": str(archive_dir)}
    try:
        async with (
            EmbeddedEngines(data_dir, archive_dir) as addresses,
            SandboxProcess(folder / "panel") as panel,
        ):
            pool = await open_pool(addresses.database_url, size=5)
            async with pool.acquire() as conn:
                await migrate(conn)
            world = World(pool)
            service = await world.service(
                await world.provider(panel.url, panel.key), upstream_service="101"
            )
            async with running_gateway(addresses) as gateway:
                command = Command(elsewhere, env, forks)
                yield Shop(data_dir, archive_dir, addresses, world, gateway, command, service)
            await pool.close()
    finally:
        erase(data_dir)
        shutil.rmtree(archive_dir, ignore_errors=True)


def running_gateway(addresses: Addresses) -> Gateway:
    """A gateway on these engines, impatient enough for tests."""
    settings = load_settings(
        security=SECURITY,
        http={"port": 0},
        dispatch={"idle_ms": 20},
        tracking={"first_ms": 20, "last_ms": 1000, "idle_ms": 20},
        limits={"requests_per_second": 100_000, "burst": 1_000_000},
    )
    return Gateway(settings, addresses.database_url, addresses.redis_url)


def _open_folder(folder: Path) -> Path:
    """A folder for an archive that the engines' user may enter, whoever that is."""
    if os.geteuid() == 0:
        return place.make_system_dir() / f"test-archive-{folder.name}-{os.getpid()}"
    return folder / "archive"
