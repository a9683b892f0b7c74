"""A model of the shared buckets, in exact numbers and on a clock that a test moves."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from gateway.web.buckets import Limit
from gateway.web.leases import Ask, Leases, Told


class Clock:
    """A clock in nanoseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 12_345

    def __call__(self) -> int:
        return self.now


@dataclass
class Bank:
    """What the server's script does, written once more and differently: buckets of tokens."""

    clock: Clock
    held: dict[object, tuple[Fraction, int]] = field(default_factory=dict)

    def answer(self, who: object, limit: Limit, owed: int, back: int, wanted: int) -> Told:
        """Tokens in the bucket may be less than none: debts are charged whatever is there."""
        now = self.clock()
        tokens, at = self.held.get(who, (Fraction(limit.burst), now))
        tokens = min(Fraction(limit.burst), tokens + Fraction(now - at, limit.interval))
        tokens = min(Fraction(limit.burst), max(tokens, Fraction(-4 * limit.burst)) + back) - owed
        there = max(0, tokens.__floor__())
        granted = min(wanted, there, max(1, there // 2))
        tokens -= granted
        self.held[who] = (tokens, now)
        missing = (limit.burst - tokens) * limit.interval / 1000
        return Told(granted, missing.__ceil__())

    def settle(self, leases: Leases[Any], asks: list[Ask]) -> None:
        """Answer exchanges."""
        for ask in asks:
            share = ask.share
            told = self.answer(share.who, share.limit, ask.owed, ask.back, ask.wanted)
            leases.settle(ask, told)

    def exchange(self, leases: Leases[Any]) -> None:
        """Answer all exchanges that are due."""
        self.settle(leases, leases.due(1_000))


def banked(clock: Clock) -> Leases[Any]:
    """Leases whose every exchange is answered at once, as if there were one process."""
    bank = Bank(clock)
    made: Leases[Any] = Leases(lambda: bank.exchange(made), clock)
    return made
