"""The panel API itself: what an honest panel answers to each action."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from providers.sandbox.book import Book
from providers.sandbox.catalogue import CATALOGUE
from providers.sandbox.faults import Fault, Manner, lasting
from providers.sandbox.forms import Refused
from providers.sandbox.journal import DurableJournal
from providers.sandbox.orders import Order, read_draft
from providers.sandbox.progress import Moment, Standing
from providers.sandbox.shapes import with_cells
from providers.sandbox.wire import ids_of
from schemas.money import format_amount
from schemas.orders import WireStatus

CURRENCY = "USD"
MOST_LISTED = 100

Parameters: TypeAlias = Mapping[str, str]


def clock() -> Moment:
    """This machine's time in microseconds."""
    return time.time_ns() // 1_000


@dataclass(slots=True)
class Conduct:
    """How the panel behaves towards everyone, where the control address may change it."""

    latency_before_ms: int
    latency_after_ms: int
    unique_links: bool = False
    order_list: bool = False  # whether the action ``orders`` is known


class Panel:
    """One account's panel. Every acceptance and every event is on disk before it is told."""

    def __init__(
        self,
        key: str,
        book: Book,
        conduct: Conduct,
        accepted: DurableJournal,
        events: DurableJournal,
    ) -> None:
        self.book = book
        self.conduct = conduct
        self._key = key
        self._accepted = accepted
        self._events = events
        # Not on disk yet: after a crash these ids would be given again, so nobody may name them.
        self._unkept: set[int] = set()
        self.actions: dict[str, Callable[[Parameters, Sequence[Fault]], Awaitable[Any]]] = {
            "services": self._services,
            "add": self._add,
            "status": self._status,
            "balance": self._balance,
            "refill": self._refill,
            "refill_status": self._refill_status,
            "cancel": self._cancel,
            "orders": self._orders,
        }

    async def act(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        """Carry out a call; the answer is the JSON value to send, an error shape included."""
        try:
            if not secrets.compare_digest(parameters.get("key", "").encode(), self._key.encode()):
                raise Refused("Invalid API key")
            action = self.actions.get(parameters.get("action", ""))
            if action is None:
                raise Refused("Incorrect request")
            return await action(parameters, faults)
        except Refused as refusal:
            return {"error": str(refusal)}

    async def record(self, event: Mapping[str, Any]) -> None:
        """Take an event and return when it is on disk."""
        self.book.apply(event)
        await self._events.append(event)

    async def _services(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        return [service.row() for service in CATALOGUE.values()]

    async def _add(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        await pause(self.conduct.latency_before_ms)
        unique = self.conduct.unique_links or any(
            fault.behaviour.manner is Manner.UNIQUE_LINK for fault in faults
        )
        # No await between the look at the balance and the charge, nor before the id is taken.
        order = self.book.accept(
            read_draft(parameters), lasting(faults), clock(), unique_link=unique
        )
        self._unkept.add(order.number)
        await self._accepted.append(order.record())
        self._unkept.discard(order.number)
        await pause(self.conduct.latency_after_ms)
        return {"order": order.number}

    async def _status(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        if "orders" not in parameters:
            return await self._status_of(parameters.get("order", ""), faults)
        rows: dict[str, Any] = {}
        for text in ids_of(parameters["orders"]):
            try:
                rows[text] = await self._status_of(text, faults)
            except Refused as refusal:
                rows[text] = {"error": str(refusal)}
        return rows

    async def _balance(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        return {"balance": format_amount(self.book.balance(clock())), "currency": CURRENCY}

    async def _refill(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        if "orders" not in parameters:
            return {"refill": str(await self._refill_one(parameters.get("order", "")))}
        return await _row_by_row(parameters["orders"], "order", "refill", self._refill_one)

    async def _refill_status(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        if "refills" not in parameters:
            return {"status": await self._refill_word(parameters.get("refill", ""))}
        return await _row_by_row(parameters["refills"], "refill", "status", self._refill_word)

    async def _cancel(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        if "orders" not in parameters:
            raise Refused("Incorrect request")
        return await _row_by_row(parameters["orders"], "order", "cancel", self._cancel_one)

    async def _orders(self, parameters: Parameters, faults: Sequence[Fault]) -> Any:
        if not self.conduct.order_list:
            raise Refused("Incorrect request")
        most = min(_number(parameters.get("limit", "")) or MOST_LISTED, MOST_LISTED)
        kept = [order for order in self.book.orders.values() if order.number not in self._unkept]
        return [self._listed(order) for order in reversed(kept[-most:])]

    def _listed(self, order: Order) -> dict[str, Any]:
        now = clock()
        told = datetime.fromtimestamp(order.at / 1_000_000, UTC)
        return {
            "order": order.number,
            "service": str(order.service.number),
            "link": order.link,
            "quantity": str(order.quantity),
            "status": self.book.standing(order, now).status,
            "charge": format_amount(self.book.charge(order, now)),
            "date": told.strftime("%Y-%m-%d %H:%M:%S"),  # of which zone, panels do not say
        }

    def order(self, number: int) -> Order:
        """The order of that number. Raises ``Refused`` when there is none."""
        order = self.book.orders.get(number)
        if order is None or number in self._unkept:
            raise Refused("Incorrect order ID")
        return order

    async def _status_of(self, text: str, faults: Sequence[Fault]) -> dict[str, Any]:
        order = self.order(_number(text))
        # Posts that have been served since the last look get their orders now.
        while len(self.book.children(order)) < self.book.posts_served(order, clock()):
            await self.record(self.book.post_event(order, clock()))
        return self._row(order, faults)

    def _row(self, order: Order, faults: Sequence[Fault]) -> dict[str, Any]:
        now = clock()
        standing = self.book.standing(order, now)
        row = {
            "charge": format_amount(self.book.charge(order, now)),
            "start_count": str(standing.start_count),
            "status": standing.status,
            "remains": str(standing.remains),
            "currency": CURRENCY,
        }
        if order.posts:
            row = _subscription_row(order, standing, self.book.children(order))
        return with_cells(row, [*order.faults, *faults])

    async def _refill_one(self, text: str) -> int:
        order = self.order(_number(text))
        now = clock()
        refill = self.book.next_refill(order, now)
        at = self.book.moment(now)
        await self.record(
            {"event": "refill", "at": at, "refill": refill, "order": order.number},
        )
        return refill

    async def _refill_word(self, text: str) -> str:
        return self.book.refill_status(_number(text), clock())

    async def _cancel_one(self, text: str) -> int:
        order = self.order(_number(text))
        now = clock()
        standing = self.book.standing(order, now)
        if not order.service.cancel or standing.final:
            raise Refused("This order cannot be canceled")
        untouched = standing.remains == order.quantity
        word = WireStatus.CANCELED if untouched else WireStatus.PARTIAL
        await self.set_standing(order, Standing(word, standing.remains, standing.start_count))
        return 1

    async def set_standing(self, order: Order, standing: Standing) -> None:
        """From now on ``order`` stands so, whatever its plan was."""
        await self.record(
            {
                "event": "standing",
                "at": self.book.moment(clock()),
                "order": order.number,
                "status": standing.status,
                "remains": standing.remains,
                "start_count": standing.start_count,
            }
        )


def _number(text: str) -> int:
    return int(text[:10]) if text.isascii() and text.isdigit() else 0


async def pause(milliseconds: int) -> None:
    """Wait for so many milliseconds."""
    if milliseconds:
        await asyncio.sleep(milliseconds / 1_000)


async def _row_by_row(
    ids: str, id_name: str, value_name: str, act: Callable[[str], Awaitable[object]]
) -> list[dict[str, object]]:
    """The reference's answer to a list: one row an id, with its own error where it has one."""
    rows: list[dict[str, object]] = []
    for text in ids_of(ids):
        value: object
        try:
            value = await act(text)
        except Refused as refusal:
            value = {"error": str(refusal)}
        rows.append({id_name: _number(text) or text, value_name: value})
    return rows


_SUBSCRIPTION_WORDS: dict[str, str] = {
    **dict.fromkeys((WireStatus.PENDING, WireStatus.PROCESSING, WireStatus.IN_PROGRESS), "Active"),
    WireStatus.PARTIAL: "Canceled",
}


def _subscription_row(order: Order, standing: Standing, children: list[int]) -> dict[str, Any]:
    """A subscription's own shape: no counters, but the posts served and their orders."""
    return {
        "status": _SUBSCRIPTION_WORDS.get(standing.status, standing.status),
        "expiry": order.parameters.get("expiry", ""),
        "posts": str(len(children)),
        "orders": children,
    }
