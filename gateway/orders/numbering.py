"""Order ids for the parts of orders, leased in blocks."""

import time

from gateway.store import versions
from gateway.store.connection import Connection
from gateway.store.versions import ORDER_ID_BLOCK, ORDER_ID_SECONDS


class OrderIds:
    """Ids that nobody else gives; those left over serve the next time."""

    def __init__(self) -> None:
        self._spare: list[int] = []
        self._leased_at = 0.0

    async def take(self, conn: Connection, number: int) -> list[int]:
        """``number`` ids, lowest first."""
        if time.monotonic() - self._leased_at > ORDER_ID_SECONDS:
            self._spare = []
        if len(self._spare) < number:
            self._leased_at = self._leased_at if self._spare else time.monotonic()
            firsts = await versions.lease_order_ids(conn, 1 + number // ORDER_ID_BLOCK)
            self._spare += [id_ for first in firsts for id_ in range(first, first + ORDER_ID_BLOCK)]
        taken, self._spare = self._spare[:number], self._spare[number:]
        return taken
