"""Makes things happen in a chosen order, with the locks that they really wait for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.store.connection import Pool, transaction
from providers.base import Provider
from schemas.upstream import Placed, Submission
from tests.conftest import eventually

Deed: TypeAlias = Callable[[], Awaitable[object]]

_WAITING = """select count(*) from pg_stat_activity
               where datname = current_database() and wait_event_type = 'Lock'"""


async def queue_up(pool: Pool, lock: str, deeds: Sequence[Deed]) -> list[object]:
    """Start deeds while a row that all of them need is locked, each when the one before it waits.

    ``lock`` is the statement that takes the row's lock. When it is let go of, they get it in turn.
    Returns what came of them, errors included.
    """
    tasks: list[asyncio.Future[object]] = []
    async with pool.acquire() as watch, pool.acquire() as conn:
        async with transaction(conn):
            await conn.execute(lock)
            for number, deed in enumerate(deeds, start=1):
                tasks.append(asyncio.ensure_future(deed()))

                async def waits(number: int = number) -> bool:
                    return bool(await watch.fetchval(_WAITING) >= number)

                await eventually(waits, every=0.005)
        return await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class GatedPanel:
    """A panel's adapter whose answer to ``add`` waits behind a gate, after the panel has answered.

    Everything else of the adapter is not used.
    """

    adapter: Provider
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, order: Submission) -> Placed:
        """As the panel answers, later."""
        try:
            return await self.adapter.add(order)
        finally:
            self.arrived.set()
            await self.gate.wait()
