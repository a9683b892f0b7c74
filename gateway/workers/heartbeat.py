"""The sign of life that each process leaves in the database, for `doctor` and alerts."""

import asyncio
import os
import secrets
import socket
from importlib.metadata import version

from gateway.quarantine import count_quarantined
from gateway.spool import Spool
from gateway.store import processes
from gateway.store.connection import Pool
from gateway.store.processes import Beat

_BEAT_SECONDS = 15.0


class Heartbeat:
    """Says that this process lives, in which role, and what its spool holds."""

    def __init__(self, pool: Pool, role: str, spool: Spool) -> None:
        self._pool = pool
        self._role = role
        self._spool = spool
        self._host = socket.gethostname()
        self._id = f"{self._host}/{os.getpid()}/{secrets.token_hex(4)}"

    async def work(self) -> float:
        """One sign of life; the seconds until the next."""
        await self._beat(await self._quarantined())
        return _BEAT_SECONDS

    async def end(self) -> None:
        """This process stops in order, and is not missed; what it leaves behind is."""
        kept = await self._quarantined()
        if self._spool.size or kept:
            await self._beat(kept)
            return
        async with self._pool.acquire() as conn:
            await processes.delete_process(conn, self._id)

    async def _quarantined(self) -> int:
        return await asyncio.to_thread(count_quarantined, self._spool.quarantine)

    async def _beat(self, quarantined: int) -> None:
        beat = Beat(
            id=self._id,
            role=self._role,
            host=self._host,
            pid=os.getpid(),
            version=version("smm-gateway"),
            spool_entries=self._spool.size,
            quarantined=quarantined,
            spool=await asyncio.to_thread(self._spool.name),
        )
        async with self._pool.acquire() as conn:
            await processes.insert_beat(conn, beat)
