"""A gateway in miniature: its pure decisions, its ledger and a fake upstream, one step a time.

Nothing waits and nothing is stored: a schedule is a sequence of steps drawn from a seed, and after
each step everything that must always hold is looked at. What the statements of the store guard
(one live attempt, the state of an attempt, the lock that a claim shares with a cancel) is kept here
by the same conditions.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from gateway.money.ledger import Book
from gateway.orders import cancelling, failover, lifecycle
from gateway.orders.failover import Outcome, Ways, Withheld
from gateway.orders.lifecycle import Polling
from providers.errors import Ambiguous, Rejected, Unavailable
from schemas.config import DispatchSettings
from schemas.ledger import Balance
from schemas.orders import FINAL_STATES, AttemptState, Order, OrderChange, OrderState, WireStatus
from schemas.upstream import Exchange, Placed, RefusalGroup, UpstreamStatus, UpstreamWord

_EXCHANGE = Exchange(sent=True, elapsed_ms=1)
_SETTINGS = DispatchSettings()
_POLLING = Polling(1, 1, 1, 3_600_000)
_LEASE, _LATE, _QUARANTINE = 20, 5, 40
_RATE, _FUNDS, _RESELLER, _PROVIDER = 900_000, 700_000, 7, 3
_LIVE = frozenset({AttemptState.INTENT, AttemptState.PLACED, AttemptState.UNKNOWN})
_RANKS = {WireStatus.PENDING: 0, WireStatus.PROCESSING: 1, WireStatus.IN_PROGRESS: 1}
_ENDS = (UpstreamWord.COMPLETED, UpstreamWord.PARTIAL, UpstreamWord.CANCELED)


T = TypeVar("T")


class Wrong(Exception):
    """Something that must always hold does not."""


@dataclass(slots=True)
class Upstream:
    """What the upstream has taken, by order; the truth that the gateway cannot see."""

    taken: dict[int, list[str]] = field(default_factory=dict)
    words: dict[str, UpstreamStatus] = field(default_factory=dict)


@dataclass(slots=True)
class Flight:
    """One attempt in a sender's memory: what it holds is lost when the sender dies."""

    order_id: int
    number: int
    claimed_at: int
    outcome: Outcome | None = None  # once the answer is there, or known not to come


@dataclass(slots=True)
class Decisions:
    """The decisions under test; a test puts a wrong one in to see it noticed."""

    after_attempt: Callable[..., Sequence[OrderChange]] = failover.after_attempt
    after_status: Callable[..., OrderChange | None] = lifecycle.after_status
    forgotten: Callable[[Order], OrderChange] = lambda order: lifecycle.move(
        order, OrderState.UNKNOWN, "lease_over"
    )
    canceled: Callable[..., OrderChange] = cancelling.canceled
    late_sends: bool = False


class SmallWorld:
    """One reseller, one upstream, and all that can happen to their orders."""

    def __init__(self, seed: object, decisions: Decisions | None = None) -> None:
        self._chance = random.Random(str(seed))
        self._decide = decisions or Decisions()
        self._now = 0
        self._numbers = count(1)
        self._upstream_numbers = count(501)
        self.upstream = Upstream()
        self.balance = Balance(_RESELLER, _FUNDS, 0, 0)
        self.book = Book([self.balance])
        self.orders: dict[int, Order] = {}
        self.attempts: dict[tuple[int, int], AttemptState] = {}
        self.leases: dict[int, int] = {}
        self.flights: list[Flight] = []
        self.cancels: set[int] = set()
        self.told: dict[int, tuple[WireStatus, int, int]] = {}
        self.seen: set[OrderState] = set()
        self.trace: list[str] = []

    def run(self, steps: int) -> None:
        """Take so many steps.

        Raises:
            Wrong: with the way that led there.
        """
        names = [name for name in dir(self) if name.startswith("do_")]
        for _ in range(steps):
            name = self._chance.choice(names)
            self.trace.append(name)
            self._now += self._chance.choice((0, 1, 1, 3, 30))
            try:
                getattr(self, name)()
                self.look()
            except (Wrong, lifecycle.IllegalMove) as error:
                raise Wrong(f"{error} after {' '.join(self.trace)}") from None

    # -- what can happen ---------------------------------------------------------------------

    def do_place(self) -> None:
        number, quantity = next(self._numbers), self._chance.choice((7, 100, 333))
        charge = -(-_RATE * quantity // 1000)
        if self.book.charge(_RESELLER, charge, number):
            self.orders[number] = _order(number, quantity, charge)

    def do_claim(self) -> None:
        for order in self._some(OrderState.QUEUED):
            if order.id in self.cancels or self._live_attempts(order):
                return  # passed over, or refused by the index of live attempts
            taken = replace(
                order,
                state=OrderState.SENDING,
                version=order.version + 1,
                attempts=order.attempts + 1,
            )
            self.orders[order.id] = taken
            self.attempts[order.id, taken.attempts] = AttemptState.INTENT
            self.leases[order.id] = self._now + _LEASE
            self.flights.append(Flight(order.id, taken.attempts, self._now))

    def do_send(self) -> None:
        for flight in self._some_flight(answered=False):
            if self._now - flight.claimed_at > _LATE and not self._decide.late_sends:
                flight.outcome = Withheld("too much time has gone since the claim")
                return
            flight.outcome = self._asked(flight.order_id)

    def do_record(self) -> None:
        for flight in self._some_flight(answered=True):
            self.flights.remove(flight)
            key = (flight.order_id, flight.number)
            order = self.orders[flight.order_id]
            assert flight.outcome is not None
            if self.attempts[key] not in (AttemptState.INTENT, AttemptState.UNKNOWN):
                return
            result = _state_of(flight.outcome)
            self.attempts[key] = result
            if order.state not in (OrderState.SENDING, OrderState.UNKNOWN):
                return
            ways = Ways(was_in_doubt=order.state is OrderState.UNKNOWN)
            for change in self._decide.after_attempt(order, flight.outcome, _SETTINGS, ways):
                self._write(change)

    def do_die(self) -> None:
        """The process ends; what its senders knew is gone."""
        self.flights.clear()

    def do_sweep(self) -> None:
        for order in self._some(OrderState.SENDING):
            if self.leases[order.id] <= self._now:
                self._write(self._decide.forgotten(order))
                self.attempts[order.id, order.attempts] = AttemptState.UNKNOWN

    def do_reconcile(self) -> None:
        """The upstream's list of orders is read: it has the order, or after the quarantine not."""
        for order in self._some(OrderState.UNKNOWN):
            key = (order.id, order.attempts)
            if taken := self.upstream.taken.get(order.id):
                self.attempts[key] = AttemptState.PLACED
                self._write(
                    lifecycle.move(order, OrderState.PLACED, "listed", upstream_id=taken[0])
                )
            elif self._now - self.leases[order.id] > _QUARANTINE:
                self.attempts[key] = AttemptState.NOT_SENT
                self._write(lifecycle.move(order, OrderState.QUEUED, "not_listed"))

    def do_poll(self) -> None:
        running = (OrderState.PLACED, OrderState.IN_PROGRESS)
        for order in self._some(*running, OrderState.COMPLETED, OrderState.PARTIAL):
            assert order.upstream_id is not None
            heard = self.upstream.words[order.upstream_id]
            if self._chance.random() < 0.1:
                heard = self._chance.choice((UpstreamStatus(None, error="?"), _odd(order)))
            change = self._decide.after_status(order, heard, _moment(self._now), _POLLING)
            if change is not None:
                self._write(change)

    def do_cancel(self) -> None:
        for order in self._some(*cancelling.STEPS):
            if cancelling.STEPS[order.state] is cancelling.Step.AT_ONCE:
                self._write(self._decide.canceled(order, "canceled_by_reseller"))
            else:
                self.cancels.add(order.id)

    def do_settle_cancels(self) -> None:
        for order_id in sorted(self.cancels):
            order = self.orders[order_id]
            if cancelling.after_wait(order) is None:
                continue
            self.cancels.remove(order_id)
            if order.state is OrderState.QUEUED:
                self._write(self._decide.canceled(order, "cancel_requested"))

    def do_work_upstream(self) -> None:
        """The upstream works on an order, ends it, or takes back what it had ended."""
        for upstream_id in self._one(self.upstream.words):
            status, chance = self.upstream.words[upstream_id], self._chance
            quantity = status.remains or 1
            if status.word is UpstreamWord.PENDING:
                word = UpstreamWord.IN_PROGRESS
            elif status.word is UpstreamWord.IN_PROGRESS:
                word = chance.choice(_ENDS)
            else:
                word = chance.choice((UpstreamWord.PARTIAL, UpstreamWord.CANCELED))
            remains = 0 if word is UpstreamWord.COMPLETED else chance.randint(1, quantity)
            remains = quantity if word is UpstreamWord.IN_PROGRESS else remains
            self.upstream.words[upstream_id] = UpstreamStatus(word, remains=remains)

    # -- how it happens ----------------------------------------------------------------------

    def _asked(self, order_id: int) -> Outcome:
        """What comes of one request; some of it leaves an order upstream."""
        draw = self._chance.random()
        if draw < 0.5:
            return Placed(self._accepted(order_id), _EXCHANGE)
        if draw < 0.65:
            self._accepted(order_id)
            return Ambiguous("closed without an answer", _EXCHANGE)
        if draw < 0.75:
            return Ambiguous("closed without an answer", _EXCHANGE)
        if draw < 0.85:
            return Unavailable("not sent", _EXCHANGE)
        return Rejected("no", self._chance.choice(list(RefusalGroup)), _EXCHANGE)

    def _accepted(self, order_id: int) -> str:
        upstream_id = str(next(self._upstream_numbers))
        self.upstream.taken.setdefault(order_id, []).append(upstream_id)
        quantity = self.orders[order_id].quantity
        self.upstream.words[upstream_id] = UpstreamStatus(UpstreamWord.PENDING, remains=quantity)
        return upstream_id

    def _write(self, change: OrderChange) -> None:
        """As ``settling.write_changes`` does, in memory."""
        order = self.orders[change.order.id]
        if order.version != change.order.version:
            raise Wrong(f"order {order.id} was decided about as version {change.order.version}")
        self.orders[order.id] = replace(
            order,
            state=change.state,
            version=order.version + change.moved,
            upstream_id=change.upstream_id,
            refunded=order.refunded + change.refund,
            remains=change.remains,
            wire_status=change.wire_status,
            wire_charge=change.wire_charge,
            wire_remains=change.wire_remains,
            updated_at=_moment(self._now),
        )
        if change.refund:
            self.book.refund(_RESELLER, change.refund, order.id, order.refunded)

    def _live_attempts(self, order: Order) -> bool:
        numbers = range(1, order.attempts + 1)
        return any(self.attempts[order.id, number] in _LIVE for number in numbers)

    def _some(self, *states: OrderState) -> list[Order]:
        return self._one([order for order in self.orders.values() if order.state in states])

    def _some_flight(self, *, answered: bool) -> list[Flight]:
        return self._one([f for f in self.flights if (f.outcome is not None) == answered])

    def _one(self, things: Iterable[T]) -> list[T]:
        found = list(things)
        return [self._chance.choice(found)] if found else []

    # -- what always holds -------------------------------------------------------------------

    def look(self) -> None:
        """Raise ``Wrong`` unless everything is as it must be."""
        spent = sum(order.charge - order.refunded for order in self.orders.values())
        if self.balance.amount != _FUNDS - spent or self.balance.amount < 0:
            raise Wrong(f"the balance is {self.balance.amount}, {spent} was spent")
        for order in self.orders.values():
            self.seen.add(order.state)
            for text in self._wrongs_of(order):
                raise Wrong(f"order {order.id}: {text}")

    def _wrongs_of(self, order: Order) -> Sequence[str]:
        taken = self.upstream.taken.get(order.id, [])
        known = order.upstream_id
        checks = {
            "taken twice upstream": len(taken) > 1,
            "queued although the upstream has it": order.state is OrderState.QUEUED and taken,
            "failed although the upstream has it": order.state is OrderState.FAILED and taken,
            "canceled here, running there": (
                order.state is OrderState.CANCELED and known is None and taken
            ),
            "held under an id that is not its own": known is not None and taken != [known],
            "refunded above its charge": not 0 <= order.refunded <= order.charge,
            "refunded while it is open": order.state not in FINAL_STATES and order.refunded,
            "not given back whole": (
                order.state in (OrderState.FAILED, OrderState.CANCELED)
                and order.refunded != order.charge
            ),
            "told otherwise than before": self._tells_otherwise(order),
        }
        return [text for text, wrong in checks.items() if wrong]

    def _tells_otherwise(self, order: Order) -> bool:
        now = (order.wire_status, order.wire_charge, order.wire_remains)
        before = self.told.get(order.id, now)
        self.told[order.id] = now
        rank = _RANKS.get(before[0])
        return now != before if rank is None else _RANKS.get(now[0], 2) < rank


def _order(number: int, quantity: int, charge: int) -> Order:
    return Order(
        id=number,
        reseller_id=_RESELLER,
        service_id=1,
        service_type="Default",
        provider_id=_PROVIDER,
        upstream_service="101",
        upstream_id=None,
        state=OrderState.QUEUED,
        version=0,
        attempts=0,
        quantity=quantity,
        rate=_RATE,
        cost=None,
        charge=charge,
        refunded=0,
        currency="USD",
        start_count=None,
        remains=None,
        wire_status=WireStatus.PENDING,
        wire_charge=charge,
        wire_remains=quantity,
        request_id=f"r-{number}",
        created_at=_moment(0),
        updated_at=_moment(0),
        missing_since=None,
    )


def _moment(step: int) -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=step)


def _odd(order: Order) -> UpstreamStatus:
    """An impossible report: more is left than was ordered."""
    return UpstreamStatus(UpstreamWord.PARTIAL, remains=order.quantity + 5)


def _state_of(outcome: Outcome) -> AttemptState:
    match outcome:
        case Placed():
            return AttemptState.PLACED
        case Rejected():
            return AttemptState.REJECTED
        case Unavailable():
            return AttemptState.NOT_SENT
        case _:
            return AttemptState.UNKNOWN
