"""The sign of life that each process leaves in the database, for `doctor` and alerts."""

import os
import secrets
import socket
from importlib.metadata import version

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
        beat = Beat(
            id=self._id,
            role=self._role,
            host=self._host,
            pid=os.getpid(),
            version=version("smm-gateway"),
            spool_entries=self._spool.size,
        )
        async with self._pool.acquire() as conn:
            await processes.insert_beat(conn, beat)
        return _BEAT_SECONDS

    async def end(self) -> None:
        """This process stops in order, and is not missed."""
        async with self._pool.acquire() as conn:
            await processes.delete_process(conn, self._id)
