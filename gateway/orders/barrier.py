"""The barrier: what was read becomes as safe as what was committed (``reliability`` B4-4).

A row can be visible and not yet on the standby, when somebody has broken off the wait for it. The
log is in order, so a COMMIT of our own that the standby has confirmed proves the earlier one.
"""

from collections.abc import Sequence

from gateway.grouping import Groups
from gateway.store import versions
from gateway.store.connection import Pool, transaction

#: A standby that has not answered by then is away.
_SECONDS = 10.0


class Barrier:
    """Makes sure of what was read just before; many questions share one COMMIT."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._groups: Groups[None, None] = Groups(self._commit, largest=10_000)

    async def pass_through(self) -> None:
        """Return once everything that was visible before would survive a failover.

        Raises:
            GroupFailed: when that cannot be said; what was read must not be told.
        """
        await self._groups.submit(None)

    async def _commit(self, asked: Sequence[None]) -> Sequence[None]:
        async with self._pool.acquire() as conn, transaction(conn, patience=_SECONDS):
            await versions.insert_barrier(conn)
        return asked
