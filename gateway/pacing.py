"""Pacing: how many calls a budget allows now, as a token bucket over a monotonic clock."""

from collections.abc import Callable


class Pace:
    """At most ``per_minute`` calls a minute, at most ``burst`` of them at once."""

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float]) -> None:
        self._per_second = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def available(self) -> int:
        """How many calls may start now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return max(0, int(self._tokens))

    def spend(self, calls: int) -> None:
        """Count calls; what was spent beyond the budget is waited for."""
        self._tokens -= calls

    def wait(self) -> float:
        """Seconds until the next call may start."""
        return 0.0 if self.available() else (1 - self._tokens) / self._per_second
