"""Order ids for the parts of orders, leased in blocks."""

from gateway.store import versions
from gateway.store.connection import Connection
from gateway.store.versions import ORDER_ID_BLOCK


class OrderIds:
    """Ids that nobody else gives; those left over serve the next time."""

    def __init__(self) -> None:
        self._spare: list[int] = []

    async def take(self, conn: Connection, number: int) -> list[int]:
        """``number`` ids, lowest first."""
        if len(self._spare) < number:
            firsts = await versions.lease_order_ids(conn, 1 + number // ORDER_ID_BLOCK)
            self._spare += [id_ for first in firsts for id_ in range(first, first + ORDER_ID_BLOCK)]
        taken, self._spare = self._spare[:number], self._spare[number:]
        return taken
