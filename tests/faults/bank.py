"""The bank's inspector: looks at all money in one instant, again and again, during the faults."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import asyncpg

from tests.faults.evidence import Snapshot

_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0
_MONEY = """select (select coalesce(sum(amount), 0)::bigint from balance),
                   (select coalesce(sum(case when destination = 'reseller' then amount
                                             else -amount end), 0)::bigint from entry)"""


class Inspector:
    """Takes snapshots every second while the database lets it; ``async with`` runs it.

    ``url`` is asked for each time, since a restarted server may be elsewhere.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self.snapshots: list[Snapshot] = []
        self.missed = 0
        self._url = url

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look_on())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _look_on(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self.snapshots.append(await self.look())
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self.missed += 1
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> Snapshot:
        """One snapshot."""
        conn = await asyncpg.connect(self._url(), server_settings={"application_name": "bank"})
        try:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                row = await conn.fetchrow(_MONEY)
        finally:
            conn.terminate()
        assert row is not None
        return Snapshot(time.monotonic(), row[0], row[1])
