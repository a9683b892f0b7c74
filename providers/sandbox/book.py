"""The panel's book: which orders exist, where each stands, what the account holds. No I/O.

Everything follows from two kinds of records: accepted orders, and events that came later. The
same methods take them when they happen and when the journals are replayed.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from providers.sandbox.faults import ACTIVE_LINK, Fault
from providers.sandbox.forms import Refused
from providers.sandbox.orders import Draft, Order, accepted, serving
from providers.sandbox.progress import (
    Moment,
    Pace,
    Standing,
    charge_at,
    refill_word,
    standing_after,
)
from schemas.money import Micros, format_amount, parse_amount

FIRST_ORDER = 23_501
FIRST_REFILL = 1


class Book:
    """Orders, refills and the balance of one account."""

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.pace = Pace()
        self._last_order = FIRST_ORDER - 1
        self._last_moment: Moment = 0
        self._deposits: Micros = 0
        self._kept: dict[int, Micros] = {}
        self._kept_total: Micros = 0
        # Orders whose plan gives money back at its end, until that end is booked. All orders
        # take the same work, so they end in the order in which they came.
        self._refund_ahead: deque[Order] = deque()
        self._set: dict[int, Standing] = {}
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._by_link: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        self._refills: dict[int, tuple[int, Moment]] = {}
        self._refill_of: dict[int, int] = {}

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever entered."""
        return self._last_moment == 0

    def moment(self, clock: Moment) -> Moment:
        """A moment for a new record: ``clock``, but later than every record before.

        Two records of one microsecond, or a clock set back, would blur what came first.
        """
        return max(clock, self._last_moment + 1)

    # -- orders ------------------------------------------------------------------------------

    def accept(
        self, draft: Draft, faults: Sequence[Fault], clock: Moment, *, unique_link: bool
    ) -> Order:
        """Take ``draft``: number it and charge the account.

        Raises:
            Refused: when the account lacks the money, or, with ``unique_link``, when another
                order of this service and link is open.
        """
        if unique_link and self._has_open(draft.service.number, draft.link, clock):
            raise Refused(ACTIVE_LINK)
        if draft.charge > self.balance(clock):
            raise Refused("Not enough funds on balance")
        order = accepted(draft, self._last_order + 1, self.moment(clock), faults)
        self.enter(order)
        return order

    def enter(self, order: Order) -> None:
        """Enter an accepted order."""
        self.orders[order.number] = order
        self._last_order = max(self._last_order, order.number)
        self._last_moment = max(self._last_moment, order.at)
        self._by_link[order.service.number, order.link].append(order.number)
        self._keep(order.number, order.charge)
        if order.plan.remains and order.plan.end is not None:
            self._refund_ahead.append(order)

    def standing(self, order: Order, clock: Moment) -> Standing:
        """Where ``order`` stands."""
        known = self._set.get(order.number)
        if known is not None:
            return known
        work = self._work_since(order.at, clock)
        return standing_after(order.plan, order.quantity, order.start_count, work)

    def charge(self, order: Order, clock: Moment) -> Micros:
        """What the account pays for ``order`` as it stands."""
        return charge_at(self.standing(order, clock), order.charge, order.quantity)

    def balance(self, clock: Moment) -> Micros:
        """What the account holds."""
        while self._refund_ahead and self._settled(self._refund_ahead[0], clock):
            order = self._refund_ahead.popleft()
            self._keep(order.number, self.charge(order, clock))
        return self._deposits - self._kept_total

    # -- subscriptions -----------------------------------------------------------------------

    def children(self, order: Order) -> list[int]:
        """The orders that serve the posts of a subscription, oldest first."""
        return list(self._children[order.number])

    def posts_served(self, order: Order, clock: Moment) -> int:
        """How many posts of a subscription have been served."""
        delivered = order.quantity - self.standing(order, clock).remains
        return order.posts * delivered // order.quantity

    def post_event(self, order: Order, clock: Moment) -> dict[str, Any]:
        """The event that makes the order for one more post of a subscription."""
        child = self._last_order + 1
        return {"event": "post", "at": self.moment(clock), "order": order.number, "child": child}

    # -- refills -----------------------------------------------------------------------------

    def next_refill(self, order: Order, clock: Moment) -> int:
        """The number for a new refill of ``order``.

        Raises:
            Refused: when the order may not be refilled now.
        """
        if not order.service.refill:
            raise Refused("Refill is disabled for this service")
        if self.standing(order, clock).status != "Completed":
            raise Refused("The order is not completed")
        earlier = self._refill_of.get(order.number)
        if earlier is not None and self.refill_status(earlier, clock) != "Completed":
            raise Refused("The refill task is not completed for this order")
        return len(self._refills) + FIRST_REFILL

    def refill_status(self, refill: int, clock: Moment) -> str:
        """The word for a refill. Raises ``Refused`` when there is none of that number."""
        if refill not in self._refills:
            raise Refused("Refill not found")
        _, asked = self._refills[refill]
        return refill_word(self._work_since(asked, clock))

    # -- events ------------------------------------------------------------------------------

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take an event: live once it is decided, or from the journal."""
        at: Moment = event["at"]
        self._last_moment = max(self._last_moment, at)
        match event["event"]:
            case "deposit":
                self._deposits += parse_amount(event["amount"])
            case "withdrawal":
                self._deposits -= parse_amount(event["amount"])
            case "pace":
                self.pace.change(at, event["seconds"])
            case "advance":
                self.pace.jump(at, event["work"])
            case "refill":
                self._refills[event["refill"]] = (event["order"], at)
                self._refill_of[event["order"]] = event["refill"]
            case "standing":
                self._set_standing(event)
            case "post":
                self.enter(serving(self.orders[event["order"]], event["child"], at))
                self._children[event["order"]].append(event["child"])
            case other:
                raise ValueError(f"the journal of events holds an unknown event {other!r}")

    def balance_event(self, amount: Micros, clock: Moment) -> dict[str, Any]:
        """The event that makes the balance ``amount``."""
        change = amount - self.balance(clock)
        word = "deposit" if change >= 0 else "withdrawal"
        return {"event": word, "at": self.moment(clock), "amount": format_amount(abs(change))}

    # -- inside ------------------------------------------------------------------------------

    def _set_standing(self, event: Mapping[str, Any]) -> None:
        number = event["order"]
        order = self.orders[number]
        standing = Standing(event["status"], event["remains"], event["start_count"])
        self._set[number] = standing
        self._keep(number, charge_at(standing, order.charge, order.quantity))

    def _keep(self, number: int, amount: Micros) -> None:
        self._kept_total += amount - self._kept.get(number, 0)
        self._kept[number] = amount

    def _work_since(self, start: Moment, clock: Moment) -> float:
        # A record may carry a moment a little ahead of the clock, see ``moment``.
        now = max(clock, self._last_moment)
        return self.pace.work(now) - self.pace.work(start)

    def _settled(self, order: Order, clock: Moment) -> bool:
        return order.number in self._set or self.standing(order, clock).final

    def _has_open(self, service: int, link: str, clock: Moment) -> bool:
        numbers = self._by_link.get((service, link), ())
        return any(not self.standing(self.orders[n], clock).final for n in numbers)
