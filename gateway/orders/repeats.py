"""Repeats without a name: an ``add`` that may be a blind retry after a lost answer.

Two identical orders are a retry or two customers, and what tells them apart is whether the first
answer reached the client. Until that is known nobody decides: the second one waits a little.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.orders.drafting import Draft
from gateway.orders.receipts import WINDOW_MS, Receipt, Receipts
from gateway.store import repeats as store
from gateway.store.connection import Connection
from schemas.orders import OrderMark, UnreceivedOrder
from schemas.panel_v2 import ACTIVE_LINK, PanelError
from schemas.resellers import DuplicatePolicy

#: A process that lives has written down by then whether its answer arrived.
UNSURE_MS = 2_000


class Undecided(Exception):
    """An identical order is just being answered: ask again in a moment."""


def fingerprint(*parts: object) -> int:
    """64 signed bits that stand for the parts."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


class Clue(NamedTuple):
    """What a draft may be recognised by; both are (reseller id, fingerprint) pairs."""

    mark: tuple[int, int] | None = None  # a retry is found by it
    link: tuple[int, int] | None = None  # an order on the same link is found by it


def clue_of(draft: Draft) -> Clue:
    """What the reseller's policy wants this draft to be recognised by."""
    if draft.external_id is not None:
        return Clue()
    match draft.duplicates:
        case DuplicatePolicy.SAFE_RETRY:
            pieces = (draft.quantity, draft.runs, draft.interval)
            ordered = fingerprint(draft.service.id, draft.link, *pieces, draft.parameters)
            return Clue(mark=(draft.reseller_id, ordered))
        case DuplicatePolicy.REJECT_ACTIVE_LINK:
            return Clue(link=(draft.reseller_id, fingerprint(draft.service.id, draft.link)))
        case DuplicatePolicy.ALLOW:
            return Clue()


class Repeats:
    """What is known of the orders that the drafts of one group may repeat.

    Read after the balances are locked, so that a twin in another process has committed or waits.
    """

    def __init__(
        self,
        receipts: Receipts,
        earlier: Iterable[UnreceivedOrder] = (),
        active_links: Iterable[tuple[int, int]] = (),
    ) -> None:
        self._receipts = receipts
        self._earlier: dict[tuple[int, int], list[UnreceivedOrder]] = {}
        for order in earlier:
            self._earlier.setdefault(order.mark[:2], []).append(order)
        self._active_links = set(active_links)
        self._links: dict[tuple[int, int], int] = {}
        self._new: list[OrderMark] = []
        self._found: list[OrderMark] = []
        self._answered: set[tuple[int, int]] = set()

    @classmethod
    async def open(cls, conn: Connection, clues: Sequence[Clue], receipts: Receipts) -> "Repeats":
        """Look up what the drafts with these clues may repeat."""
        marks = {clue.mark for clue in clues if clue.mark is not None}
        links = {clue.link for clue in clues if clue.link is not None}
        return cls(
            receipts,
            await store.list_unreceived(conn, marks, window_ms=WINDOW_MS, unsure_ms=UNSURE_MS)
            if marks
            else (),
            await store.list_active_links(conn, links) if links else (),
        )

    def earlier(self, clue: Clue) -> OrderMark | Exception | None:
        """The order that a draft repeats, why it is refused or must wait, or None."""
        if clue.link in self._active_links:
            return PanelError(ACTIVE_LINK)
        if clue.mark is None:
            return None
        if clue.mark in self._answered:
            return Undecided()
        for order in self._earlier.get(clue.mark, ()):
            receipt = self._receipts.standing(order.mark)
            if receipt is Receipt.ARRIVED:
                continue
            if order.fresh and receipt is not Receipt.LOST:
                return Undecided()
            self._answered.add(clue.mark)
            return order.mark
        return None

    def accept(self, clue: Clue, order_id: int) -> OrderMark | None:
        """A draft became this order; what its answer is known by, where that matters."""
        if clue.link is not None:
            self._links[clue.link] = order_id
            self._active_links.add(clue.link)
        if clue.mark is None:
            return None
        self._answered.add(clue.mark)
        self._new.append(OrderMark(*clue.mark, order_id))
        return self._new[-1]

    def find(self, clue: Clue, order_id: int) -> OrderMark | None:
        """A draft is this order already, and is answered only now; as ``accept``."""
        if clue.mark is None:
            return None
        self._answered.add(clue.mark)
        self._found.append(OrderMark(*clue.mark, order_id))
        return self._found[-1]

    async def write(self, conn: Connection, received: Sequence[OrderMark]) -> None:
        """Write down what was accepted, and which earlier answers were received."""
        if self._found:
            await store.set_unreceived_fresh(conn, self._found)
        if self._new or received:
            await store.insert_unreceived(conn, self._new, received)
        if self._links:
            await store.insert_active_links(conn, self._links)
