"""Engines that are killed on purpose, each at one address for as long as a test runs.

The bundled PostgreSQL and Valkey take a new port at every start. A chaos proxy stands before each,
follows it, and is where the network between it and the gateway misbehaves.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg
import redis.asyncio

from gateway.embedded.binaries import binaries_for_anyone, find_binaries
from gateway.embedded.child import Child
from gateway.embedded.erase import erase
from gateway.embedded.place import prepare
from gateway.embedded.postgres import Postgres
from gateway.embedded.state import Claim, load_secrets
from gateway.embedded.valkey import Valkey
from gateway.store.migrate import migrate
from tests.conftest import eventually
from tests.faults.proxy import ChaosProxy

#: How PostgreSQL is told to end: at once with its clients, at once without a checkpoint, not told.
FAST, IMMEDIATE, KILLED = signal.SIGINT, signal.SIGQUIT, signal.SIGKILL


class Engine:
    """One engine behind its proxy."""

    def __init__(self, engine: Postgres | Valkey) -> None:
        self._engine = engine
        self.direct_url = ""
        self.proxy = ChaosProxy("127.0.0.1", 1)

    @property
    def url(self) -> str:
        """Where clients find it, by way of the proxy."""
        return self.proxy.through(self.direct_url)

    @property
    def child(self) -> Child:
        """Its process.

        Raises:
            RuntimeError: when none was started.
        """
        if self._engine.child is None:
            raise RuntimeError("the engine was not started")
        return self._engine.child

    async def start(self) -> None:
        """Start it on its data, and have the proxy lead there."""
        self.direct_url = await self._engine.start()
        parts = urlsplit(self.direct_url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.proxy.server = (parts.hostname, parts.port)

    def send_signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        self.child._process.send_signal(number)

    async def end(self, number: signal.Signals) -> None:
        """End it by a signal, and wait for its end."""
        self.send_signal(number)
        if await self.child.wait(30) is None:
            raise RuntimeError(f"the engine did not end by {number!r}")

    async def stop(self) -> None:
        """Stop it in order; nothing happens when it does not run."""
        if self._engine.child is not None and self._engine.child.exit_code() is None:
            self.send_signal(signal.SIGCONT)
            await self._engine.stop()


class KillableEngines:
    """PostgreSQL and Valkey on a directory of their own. ``async with`` starts and stops them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __aenter__(self) -> Self:
        place = prepare(self.folder)
        self._claim = Claim.take(self.folder)
        binaries = binaries_for_anyone() if place.user else find_binaries()
        self.secrets = load_secrets(place)
        self.home = place.home
        self.database = Engine(Postgres(place, binaries, self.secrets))
        self.cache = Engine(Valkey(place, binaries, self.secrets))
        for engine in (self.database, self.cache):
            await engine.proxy.__aenter__()
            await engine.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        for engine in (self.database, self.cache):
            await engine.proxy.__aexit__(*error)
            await engine.stop()
        self._claim.release()

    def erase(self) -> None:
        """Delete all their data."""
        erase(self.folder)

    @asynccontextmanager
    async def superuser(
        self, database: str = "postgres"
    ) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """A connection that may do everything, past the proxy."""
        parts = urlsplit(self.database.direct_url)
        conn = await asyncpg.connect(
            host=parts.hostname,
            port=parts.port,
            user="postgres",
            password=self.secrets.superuser,
            database=database,
            ssl=False,
        )
        try:
            yield conn
        finally:
            await conn.close()

    async def make_database(self, name: str) -> str:
        """Make an empty, migrated database; returns its name."""
        async with self.superuser() as conn:
            await conn.execute(f"create database {name} owner smm")
        conn = await asyncpg.connect(self.direct_url_of(name))
        try:
            await migrate(conn)
        finally:
            await conn.close()
        return name

    async def drop_database(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        async with self.superuser() as conn:
            await conn.execute(f"drop database if exists {name} with (force)")

    def url_of(self, database: str) -> str:
        """A database's address by way of the proxy."""
        return urlsplit(self.database.url)._replace(path=f"/{database}").geturl()

    def direct_url_of(self, database: str) -> str:
        """A database's address past the proxy."""
        return urlsplit(self.database.direct_url)._replace(path=f"/{database}").geturl()

    async def answering(self) -> None:
        """Return once the database lets us in again."""

        async def answers() -> bool:
            try:
                async with asyncio.timeout(2), self.superuser() as conn:
                    return bool(await conn.fetchval("select true"))
            except (OSError, asyncpg.PostgresError, TimeoutError):
                return False

        await eventually(answers, seconds=60, every=0.1)

    async def kill_backend(self, pid: int) -> None:
        """``kill -9`` of one backend: the server ends all others and recovers by itself."""
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0)
        await self.answering()

    async def flush_cache(self) -> None:
        """``FLUSHALL``: everything in the cache is gone."""
        async with redis.asyncio.from_url(self.cache.direct_url) as client:
            await client.flushall()
