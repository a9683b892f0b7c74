"""Earlier orders: what the drafts of a group already are, repeat, or must not repeat.

Read after the balances are locked, so that whoever placed a twin has committed or waits.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.orders.doubts import Group
from gateway.orders.naming import Names
from gateway.orders.receipts import Receipts
from gateway.orders.repeats import Clue, Repeats, clue_of
from gateway.store import orders
from gateway.store.connection import Connection
from schemas.orders import OrderMark


@dataclass(frozen=True, slots=True)
class Accepted:
    """The order that a draft became, or the one that it repeats.

    ``mark`` is set where it matters whether the answer arrives: settle it in the receipts.
    """

    order_id: int
    repeated: bool = False
    mark: OrderMark | None = None


class Earlier:
    """The earlier orders of one run of a group."""

    def __init__(
        self,
        group: Group,
        clues: Sequence[Clue],
        placed: Collection[int],
        names: Names,
        repeats: Repeats,
    ) -> None:
        self._group = group
        self._clues = clues
        self._placed = placed
        self._names = names
        self._repeats = repeats

    @classmethod
    async def open(cls, conn: Connection, group: Group, receipts: Receipts) -> "Earlier":
        """Look up names, blind retries, and what an earlier run of this group has committed."""
        doubtful = sorted(group.doubtful)
        placed = await orders.list_placed_orders(conn, doubtful) if doubtful else set()
        names = await Names.open(conn, group.drafts)
        clues = [clue_of(draft) for draft in group.drafts]
        return cls(group, clues, placed, names, await Repeats.open(conn, clues, receipts))

    def answer(self, place: int) -> Accepted | Exception | None:
        """The order that a draft is or repeats, or why it is not taken; None when it is new."""
        own = self._group.ids.get(place)
        if own is not None and own in self._placed:
            # Committed by a run whose answer was lost: no repetition, its client waits for it.
            return Accepted(own, mark=self._repeats.find(self._clues[place], own))
        found = self._names.earlier(self._group.drafts[place])
        if isinstance(found, int):
            return Accepted(found, repeated=True)
        if found is not None:
            return found
        twin = self._repeats.earlier(self._clues[place])
        if isinstance(twin, OrderMark):
            return Accepted(twin.order_id, repeated=True, mark=twin)
        return twin

    def accept(self, place: int, order_id: int) -> Accepted:
        """A draft became this order."""
        self._names.give(self._group.drafts[place], order_id)
        return Accepted(order_id, mark=self._repeats.accept(self._clues[place], order_id))

    async def write(self, conn: Connection, received: Sequence[OrderMark]) -> None:
        """Write down what was accepted, and which earlier answers were received."""
        await self._names.write(conn)
        await self._repeats.write(conn, received)
