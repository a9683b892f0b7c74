"""Receipts: which answers to ``add`` reached their clients, as this process knows it.

An answer that was written out in full to an open connection has arrived. One whose connection was
closed before is lost: the client will order again, and must get the same order.
"""

from collections.abc import Iterable
from enum import Enum

from gateway.store import repeats as store
from gateway.store.connection import Pool
from schemas.orders import OrderMark

#: A repetition comes within this time, or it is another order.
WINDOW_MS = 120_000
#: So many lost answers are remembered; the database remembers them as well.
_MOST_LOST = 10_000


class Receipt(Enum):
    """What is known of an answer."""

    PENDING = "pending"
    ARRIVED = "arrived"
    LOST = "lost"


class Receipts:
    """The answers of this process. What arrived is written down with the next orders."""

    def __init__(self) -> None:
        self._pending: set[OrderMark] = set()
        self._arrived: set[OrderMark] = set()
        self._lost: dict[OrderMark, None] = {}

    def expect(self, marks: Iterable[OrderMark]) -> None:
        """These orders are committed, and about to be answered."""
        self._pending.update(marks)

    def settle(self, mark: OrderMark, *, arrived: bool) -> None:
        """The answer has reached its client, or never will."""
        self._pending.discard(mark)
        if arrived:
            self._arrived.add(mark)
            return
        self._lost[mark] = None
        if len(self._lost) > _MOST_LOST:
            self._lost.pop(next(iter(self._lost)))

    def standing(self, mark: OrderMark) -> Receipt | None:
        """What is known of the answer; None for those of other processes."""
        if mark in self._pending:
            return Receipt.PENDING
        if mark in self._arrived:
            return Receipt.ARRIVED
        return Receipt.LOST if mark in self._lost else None

    def arrived(self) -> list[OrderMark]:
        """Answers that arrived and are not written down yet."""
        return list(self._arrived)

    def forget(self, marks: Iterable[OrderMark]) -> None:
        """These are written down."""
        self._arrived.difference_update(marks)


async def write_receipts(pool: Pool, receipts: Receipts) -> None:
    """Write down what arrived, where no further orders have done that."""
    arrived = receipts.arrived()
    if arrived:
        async with pool.acquire() as conn:
            await store.insert_unreceived(conn, [], arrived)
        receipts.forget(arrived)


async def forget_repeats(pool: Pool) -> None:
    """Forget what is too old to be asked for again, and links that are free."""
    async with pool.acquire() as conn:
        await store.delete_old_unreceived(conn, WINDOW_MS)
        await store.delete_ended_links(conn)
