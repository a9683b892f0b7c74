"""Runs the bundled PostgreSQL and Valkey for the life of one process."""

import asyncio
from pathlib import Path
from types import TracebackType

from gateway.embedded.archive import archive_command, open_archive
from gateway.embedded.binaries import binaries_at
from gateway.embedded.place import prepare
from gateway.embedded.postgres import Postgres
from gateway.embedded.state import (
    Addresses,
    Claim,
    forget_addresses,
    load_secrets,
    record_addresses,
)
from gateway.embedded.valkey import Valkey

WATCH_SECONDS = 0.1


class EmbeddedEngines:
    """PostgreSQL and Valkey on one data directory, living no longer than this process.

    Use it as an async context manager, or pair `start` with `stop`, in the main thread.
    """

    def __init__(self, data_dir: Path, archive_dir: Path | None = None) -> None:
        """With ``archive_dir``, all that PostgreSQL writes is kept there too (its WAL)."""
        self._data_dir = data_dir.absolute()
        self._archive_dir = archive_dir
        self._claim: Claim | None = None
        self._engines: tuple[Postgres, Valkey] | None = None

    async def start(self) -> Addresses:
        """Start both engines and wait until they accept connections.

        Raises EnginesBusy when another process runs them, EmbeddedError when they cannot run.
        """
        place = prepare(self._data_dir)
        self._claim = Claim.take(self._data_dir)
        try:
            binaries = binaries_at(place)
            secrets = load_secrets(place)
            extra = {}
            if self._archive_dir is not None:
                extra = archive_command(open_archive(place, self._archive_dir))
            postgres = Postgres(place, binaries, secrets, extra)
            valkey = Valkey(place, binaries, secrets)
            self._engines = (postgres, valkey)
            addresses = await _start_both(postgres, valkey)
            record_addresses(self._data_dir, addresses)
        except BaseException:
            await self.stop()
            raise
        return addresses

    async def stop(self) -> None:
        """Stop both engines, gently first; nothing happens when they are stopped already."""
        engines, self._engines = self._engines, None
        if engines:
            forget_addresses(self._data_dir)
            await asyncio.gather(*(engine.stop() for engine in engines))
        if self._claim:
            self._claim.release()
            self._claim = None

    async def wait_failed(self) -> str:
        """Return, with the reason, as soon as an engine has died by itself; not before."""
        while True:
            for engine in self._engines or ():
                if engine.child and engine.child.exit_code() is not None:
                    return f"{engine.name} stopped unexpectedly: {engine.child.last_words()}"
            await asyncio.sleep(WATCH_SECONDS)

    async def __aenter__(self) -> Addresses:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


async def _start_both(postgres: Postgres, valkey: Valkey) -> Addresses:
    try:
        async with asyncio.TaskGroup() as group:
            database_url = group.create_task(postgres.start())
            redis_url = group.create_task(valkey.start())
    except BaseExceptionGroup as failures:
        # One reason is enough; the other engine's start was then cancelled.
        raise failures.exceptions[0] from None
    return Addresses(database_url.result(), redis_url.result())
