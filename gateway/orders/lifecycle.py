"""What becomes of an order: pure decisions, from what is known to what is written.

Every function takes an order as it was read under its lock and returns the change to write, or
None when nothing changes. The rules are those of ``reliability`` B3, B5 and B7; which moves
exist at all is ``schemas.orders.MOVES``.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from providers.refusals import means_no_such_order
from schemas.money import Micros, refund_due, undelivered_part
from schemas.orders import (
    FINAL_STATES,
    FINAL_WORDS,
    MOVES,
    Order,
    OrderChange,
    OrderState,
    PlannedRoute,
)
from schemas.orders import WireStatus as Word
from schemas.services import SERVICE_TYPES
from schemas.upstream import UpstreamStatus, UpstreamWord

#: Some panels do not know an order yet for a while after they took it.
FORGOTTEN_AFTER = timedelta(hours=24)

_RUNNING_WORDS = {
    UpstreamWord.PENDING: Word.PENDING,
    UpstreamWord.PROCESSING: Word.PROCESSING,
    UpstreamWord.IN_PROGRESS: Word.IN_PROGRESS,
}
_FINAL_STATES = {
    UpstreamWord.COMPLETED: OrderState.COMPLETED,
    UpstreamWord.PARTIAL: OrderState.PARTIAL,
    UpstreamWord.CANCELED: OrderState.CANCELED,
}


class IllegalMove(Exception):
    """A decision asked for a move that does not exist: a defect of ours."""


def move(  # noqa: PLR0913 - the whole of a change, each part by its name
    order: Order,
    to: OrderState,
    cause: str,
    *,
    refund_target: Micros = 0,
    upstream_id: str | None = None,
    start_count: int | None = None,
    remains: int | None = None,
    next_in: int | None = 0,
    route: PlannedRoute | None = None,
) -> OrderChange:
    """The change that takes ``order`` to another state and pays what that state owes.

    Final words are published here, once: a later correction leaves them as told.

    Raises:
        IllegalMove: when the state machine has no such move.
    """
    if to not in MOVES[order.state]:
        raise IllegalMove(f"order {order.id}: {order.state} > {to} ({cause})")
    told = order.state in FINAL_STATES
    refund = refund_due(refund_target, order.refunded, order.charge)
    word, charge, left = order.wire_status, order.wire_charge, order.wire_remains
    if to in FINAL_WORDS and not told:
        word = FINAL_WORDS[to]
        charge = order.charge - order.refunded - refund
        left = _told_remains(order, to, remains)
    return replace(
        unchanged(order, next_in),
        state=to,
        cause=cause,
        refund=refund,
        upstream_id=upstream_id or order.upstream_id,
        start_count=_first(order.start_count, start_count),
        remains=_storable(remains, order.remains),
        wire_status=word,
        wire_charge=charge,
        wire_remains=left,
        route=route,
    )


def _told_remains(order: Order, to: OrderState, remains: int | None) -> int:
    if to in (OrderState.CANCELED, OrderState.FAILED):
        return order.quantity if remains is None else _clamped(remains, order.quantity)
    return _clamped(remains or 0, order.quantity)


def _clamped(remains: int, quantity: int) -> int:
    return max(0, min(remains, quantity))


@dataclass(frozen=True, slots=True)
class Polling:
    """How often an open order is asked for: at first every ``first_ms``, an old one rarely."""

    first_ms: int
    last_ms: int
    correction_ms: int  # between two looks at a finished order, in case the upstream takes back
    watch_ms: int  # how long after its end an order is looked at

    def next_in(self, order: Order, now: datetime) -> int:
        """Milliseconds until the next look: a tenth of the order's age, within the limits."""
        tenth = int((now - order.created_at) / timedelta(milliseconds=10))
        return max(self.first_ms, min(tenth, self.last_ms))

    def next_correction_in(self, order: Order, now: datetime) -> int | None:
        """Milliseconds until a finished order is looked at again; None when the watch is over."""
        watched = (now - order.updated_at) / timedelta(milliseconds=1)
        return self.correction_ms if watched + self.correction_ms <= self.watch_ms else None


def after_status(
    order: Order, status: UpstreamStatus, now: datetime, polling: Polling
) -> OrderChange | None:
    """What an upstream's report makes of an order (``reliability`` T01-T24).

    None when reports do not move the order: it is in doubt, or ended without an attempt.
    """
    if order.state in (OrderState.COMPLETED, OrderState.PARTIAL):
        return _late_correction(order, status, polling.next_correction_in(order, now))
    if order.state not in (OrderState.PLACED, OrderState.IN_PROGRESS):
        return None
    if status.word in _RUNNING_WORDS:
        return _progress(order, status, polling.next_in(order, now))
    if status.word is UpstreamWord.FAILED:
        return move(order, OrderState.REVIEW, "upstream_failed", start_count=status.start_count)
    if status.word is None:
        return _nothing_said(order, status, now, polling)
    return _finish(order, _FINAL_STATES[status.word], status, polling.correction_ms)


def _nothing_said(
    order: Order, status: UpstreamStatus, now: datetime, polling: Polling
) -> OrderChange:
    """An unknown word never ends an order; one that the upstream goes on denying needs a person."""
    missing = status.error is not None and means_no_such_order(status.error)
    since = order.missing_since
    if missing and since is not None and now - since > FORGOTTEN_AFTER:
        return move(order, OrderState.REVIEW, "upstream_forgot")
    return replace(unchanged(order, polling.next_in(order, now)), missing=missing)


def _progress(order: Order, status: UpstreamStatus, next_in: int) -> OrderChange:
    assert status.word is not None
    # Words do not run backwards to Pending; Processing and In progress may swap.
    heard = _RUNNING_WORDS[status.word]
    word = order.wire_status if heard is Word.PENDING else heard
    started = order.state is OrderState.PLACED and word is Word.IN_PROGRESS
    remains = _storable(status.remains, order.remains)
    counted = remains is not None and not is_package(order)
    return replace(
        unchanged(order, next_in),
        state=OrderState.IN_PROGRESS if started else order.state,
        cause="upstream_started" if started else None,
        start_count=_first(order.start_count, status.start_count),
        remains=remains,
        wire_status=word,
        wire_remains=_clamped(remains or 0, order.quantity) if counted else order.wire_remains,
    )


def unchanged(order: Order, next_in: int | None) -> OrderChange:
    """The change that only says when the order is looked at again."""
    return OrderChange(
        order=order,
        state=order.state,
        cause=None,
        refund=0,
        upstream_id=order.upstream_id,
        start_count=order.start_count,
        remains=order.remains,
        wire_status=order.wire_status,
        wire_charge=order.wire_charge,
        wire_remains=order.wire_remains,
        next_in=next_in,
    )


def _first(known: int | None, heard: int | None) -> int | None:
    """The first count that means something: panels say 0 before they have looked."""
    return known or (known if heard is None else heard)


def _storable(heard: int | None, known: int | None) -> int | None:
    return known if heard is None or abs(heard) >= 2**31 else heard


def is_package(order: Order) -> bool:
    """Whether an order is one package: an upstream's counters then do not count our quantity."""
    return SERVICE_TYPES[order.service_type].counted is None


def _finish(order: Order, to: OrderState, status: UpstreamStatus, next_in: int) -> OrderChange:
    target = refund_target(order, to, status.remains)
    if target is None:
        return move(
            order,
            OrderState.REVIEW,
            f"impossible_{to}",
            start_count=status.start_count,
            remains=status.remains,
        )
    return move(
        order,
        to,
        "upstream_" + to,
        refund_target=target,
        start_count=status.start_count,
        remains=status.remains,
        next_in=next_in,
    )


def refund_target(order: Order, to: OrderState, remains: int | None) -> Micros | None:
    """What a final state owes the reseller in all; None when the report makes no sense.

    Canceled owes the charge. Partial owes the part of ``remains``, which must count this order:
    1..quantity, and never a package. Completed owes nothing, but one of which nothing was
    delivered is looked at by a person.
    """
    if to is OrderState.CANCELED:
        return order.charge
    if to is OrderState.PARTIAL:
        if is_package(order) or remains is None or not 1 <= remains <= order.quantity:
            return None
        return undelivered_part(order.charge, remains, order.quantity)
    nothing_delivered = remains is not None and remains >= order.quantity
    return None if nothing_delivered and not is_package(order) else 0


def _late_correction(order: Order, status: UpstreamStatus, next_in: int | None) -> OrderChange:
    """A finished order that the upstream takes money back for: the difference is paid, once."""
    to = _FINAL_STATES.get(status.word) if status.word else None
    target = refund_target(order, to, status.remains) if to in MOVES[order.state] else None
    if to is None or target is None or refund_due(target, order.refunded, order.charge) == 0:
        return unchanged(order, next_in)
    return move(
        order, to, f"late_{to}", refund_target=target, remains=status.remains, next_in=next_in
    )
