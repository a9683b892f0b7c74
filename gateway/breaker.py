"""A circuit breaker: whether a provider that has stopped answering may be asked again.

    closed ──failures──▶ open ──its pause is over──▶ half-open ──answered──▶ closed
                          ▲                              │
                          └──────── failed, a longer pause ┘

An explicit state machine over a monotonic clock; it does nothing by itself.
"""

from collections.abc import Callable
from enum import IntEnum

_FIRST_PAUSE = 0.5
_MOST_DOUBLINGS = 20


class BreakerState(IntEnum):
    """The numbers are what the metric shows."""

    CLOSED = 0  # calls are made
    HALF_OPEN = 1  # one call at a time, to see
    OPEN = 2  # none until the pause is over


class Breaker:
    """Opens after ``threshold`` failures in a row, for pauses that double up to ``longest``.

    Times are in seconds. What was asked before it opened and ends while it is open neither closes
    it nor lengthens its pause.
    """

    def __init__(self, threshold: int, longest: float, clock: Callable[[], float]) -> None:
        self._threshold = threshold
        self._longest = longest
        self._clock = clock
        self._openings = 0
        self._until: float | None = None
        self._broken_since = 0.0
        self.failures = 0

    @property
    def state(self) -> BreakerState:
        """The state now."""
        if self._until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._until else BreakerState.HALF_OPEN

    @property
    def broken_for(self) -> float:
        """Seconds since it was last closed; 0 while it is."""
        return 0.0 if self._until is None else self._clock() - self._broken_since

    def wait(self) -> float:
        """Seconds until a call may be made."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())

    def most(self, calls: int) -> int:
        """How many calls may be out at the same time, where ``calls`` may when all is well."""
        match self.state:
            case BreakerState.CLOSED:
                return calls
            case BreakerState.HALF_OPEN:
                return min(1, calls)
        return 0

    def succeeded(self) -> None:
        """A call was answered in protocol, whatever the answer was."""
        if self.state is not BreakerState.OPEN:
            self._until = None
            self._openings = self.failures = 0

    def failed(self, retry_after: float | None = None) -> None:
        """A call got no proper answer; the upstream may have said when to ask again."""
        self.failures += 1
        state = self.state
        trial = state is BreakerState.HALF_OPEN
        if trial or (state is BreakerState.CLOSED and self.failures >= self._threshold):
            pause = min(_FIRST_PAUSE * 2 ** min(self._openings, _MOST_DOUBLINGS), self._longest)
            self._openings += 1
            self._open(pause)
        if retry_after:
            self.hold_off(retry_after)

    def hold_off(self, seconds: float) -> None:
        """The upstream asks for a pause, which is at most the longest one."""
        self._open(min(seconds, self._longest))

    def _open(self, seconds: float) -> None:
        now = self._clock()
        if self._until is None:
            self._broken_since = now
        self._until = max(self._until or 0.0, now + seconds)
