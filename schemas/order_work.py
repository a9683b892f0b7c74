"""What operators do to orders, one by one or to many at once."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from schemas.doubts import Decision
from schemas.money import Micros
from schemas.orders import OrderState


class OrderAction(StrEnum):
    """What is done to an order."""

    CANCEL = "cancel"  # at once where it was not sent, else its upstream is asked
    RESEND = "resend"  # one that waits is sent now
    RESOLVE = "resolve"  # a person decides about one in doubt or in review
    REFUND = "refund"  # an ended one: all of it, or what was not delivered


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done. ``decision`` is for ``resolve``; ``remains`` is what was not delivered, for a
    refund (None is all of it) and for the decision ``partial``. ``attempt`` is the number of the
    order's last attempt when the operator looked, for ``resolve``; None where that is not known.
    """

    action: OrderAction
    decision: Decision | None = None
    remains: int | None = None
    attempt: int | None = None


class SeenOrder(NamedTuple):
    """An order that an operator has looked at, and the number of its last attempt then."""

    id: int
    attempt: int


class Result(StrEnum):
    """How it ended."""

    DONE = "done"
    ASKED = "asked"  # the upstream is asked; money moves when the order ends there
    STOPPED = "stopped"  # no further runs are made, and their price is paid back
    UNCHANGED = "unchanged"  # it is so already
    REFUSED = "refused"  # it cannot be, and ``why`` says so


@dataclass(frozen=True, slots=True)
class Effect:
    """What a deed does to one order, or would. ``refund`` is what its reseller gets back."""

    order_id: int
    result: Result
    before: OrderState | None = None
    after: OrderState | None = None
    refund: Micros = 0
    why: str | None = None
