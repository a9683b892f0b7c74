"""How orders move: everything here is a function of what was accepted and of the work done since.

*Work* is time divided by the seconds that an order takes: after one unit of work an order has
reached its end. Counting work instead of time lets the pace change while orders run without any
of them stepping back.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias

from schemas.money import Micros, undelivered_part
from schemas.orders import WireStatus

#: Moments are whole microseconds of the Unix epoch.
Moment: TypeAlias = int

_MICROSECONDS = 1_000_000
_PENDING_UNTIL = 0.1
_PROCESSING_UNTIL = 0.2

FINAL_STATUSES = frozenset({WireStatus.COMPLETED, WireStatus.PARTIAL, WireStatus.CANCELED})


@dataclass(frozen=True, slots=True)
class Plan:
    """Where an order is going: its end, and how many pieces are undelivered there.

    ``end`` None is an order that starts and never ends.
    """

    end: WireStatus | None
    remains: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order is. ``status`` is any text once a person has set it."""

    status: str
    remains: int
    start_count: int

    @property
    def final(self) -> bool:
        """Whether the panel considers the order closed."""
        return self.status in FINAL_STATUSES


class Pace:
    """How much work has been done up to any moment; never falls."""

    def __init__(self) -> None:
        self._starts: list[Moment] = [0]
        self._done: list[float] = [0.0]
        self._seconds: list[float | None] = [None]

    @property
    def seconds(self) -> float | None:
        """The seconds that an order takes at the present pace; None when all work rests."""
        return self._seconds[-1]

    def work(self, at: Moment) -> float:
        """The work done up to ``at``."""
        index = bisect_right(self._starts, at) - 1
        seconds = self._seconds[index]
        if seconds is None:
            return self._done[index]
        return self._done[index] + (at - self._starts[index]) / _MICROSECONDS / seconds

    def change(self, at: Moment, seconds: float | None) -> None:
        """From ``at`` on an order takes ``seconds``. Raises ``ValueError`` below or at 0."""
        if seconds is not None and seconds <= 0:
            raise ValueError("an order takes more than 0 seconds")
        self._turn(at, self.work(at), seconds)

    def jump(self, at: Moment, work: float) -> None:
        """Do ``work`` at once."""
        self._turn(at, self.work(at) + work, self.seconds)

    def _turn(self, at: Moment, done: float, seconds: float | None) -> None:
        self._starts.append(at)
        self._done.append(done)
        self._seconds.append(seconds)


def standing_after(plan: Plan, quantity: int, start_count: int, work: float) -> Standing:
    """Where an order of ``quantity`` pieces is, ``work`` after its acceptance."""
    if work < _PENDING_UNTIL:
        return Standing(WireStatus.PENDING, quantity, 0)
    if work < _PROCESSING_UNTIL:
        return Standing(WireStatus.PROCESSING, quantity, 0)
    if plan.end is not None and work >= 1:
        return Standing(plan.end, plan.remains, start_count)
    share = min((work - _PROCESSING_UNTIL) / (1 - _PROCESSING_UNTIL), 1.0)
    delivered = int((quantity - plan.remains) * share)
    return Standing(WireStatus.IN_PROGRESS, quantity - delivered, start_count)


def charge_at(standing: Standing, charge: Micros, quantity: int) -> Micros:
    """What the panel keeps of ``charge`` for an order that stands so."""
    if standing.status == WireStatus.CANCELED:
        return 0
    if standing.status == WireStatus.PARTIAL and 0 <= standing.remains <= quantity:
        return charge - undelivered_part(charge, standing.remains, quantity)
    return charge


def refill_word(work: float) -> str:
    """The status of a refill, ``work`` after it was asked for."""
    if work < _PENDING_UNTIL:
        return "Pending"
    return "In progress" if work < 1 else "Completed"
