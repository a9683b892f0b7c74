"""The circuit breaker against a model of it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.breaker import Breaker, BreakerState

LONGEST = 16.0


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _breaker(threshold: int = 1) -> tuple[Breaker, _Clock]:
    clock = _Clock()
    return Breaker(threshold, LONGEST, clock), clock


def test_a_new_breaker_lets_everything_through() -> None:
    breaker, _ = _breaker()
    assert (breaker.state, breaker.most(20), breaker.wait()) == (BreakerState.CLOSED, 20, 0)


def test_pauses_double_with_every_failed_trial_and_one_answer_closes_it() -> None:
    breaker, clock = _breaker()
    pauses = []
    for _ in range(8):
        breaker.failed()
        assert (breaker.state, breaker.most(20)) == (BreakerState.OPEN, 0)
        pauses.append(breaker.wait())
        clock.now += breaker.wait()
        assert (breaker.state, breaker.most(20)) == (BreakerState.HALF_OPEN, 1)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 16, 16]
    assert breaker.broken_for == sum(pauses)
    breaker.succeeded()
    assert (breaker.state, breaker.most(20), breaker.broken_for) == (BreakerState.CLOSED, 20, 0)
    breaker.failed()
    assert breaker.wait() == 0.5


def test_it_opens_at_its_threshold_and_an_answer_begins_the_count_again() -> None:
    breaker, _ = _breaker(3)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        assert breaker.state is BreakerState.CLOSED
        breaker.succeeded()
    for _ in range(3):
        breaker.failed()
    assert breaker.state is BreakerState.OPEN


def test_calls_that_were_out_together_open_it_once() -> None:
    breaker, clock = _breaker()
    for _ in range(20):
        breaker.failed()
    assert breaker.wait() == 0.5
    assert breaker.failures == 20
    breaker.succeeded()
    assert breaker.state is BreakerState.OPEN
    clock.now += 0.5
    breaker.failed()
    assert breaker.wait() == 1


@pytest.mark.parametrize(("asked", "waits"), [(3, 3), (0, 0.5), (None, 0.5), (100, LONGEST)])
def test_a_pause_that_the_upstream_asks_for_is_kept_within_reason(
    asked: float | None, waits: float
) -> None:
    breaker, _ = _breaker()
    breaker.failed(asked)
    assert breaker.wait() == waits


class BreakerModel(RuleBasedStateMachine):
    """What the picture in the module says, written a second time and plainly."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = _Clock()
        self.breaker = Breaker(2, LONGEST, self.clock)
        self.state = BreakerState.CLOSED
        self.opens_until = 0.0
        self.in_a_row = 0
        self.next_pause = 0.5

    def _is_over(self) -> bool:
        return self.clock.now >= self.opens_until

    @rule(seconds=st.sampled_from([0.1, 0.5, 1, 7, 100]))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.now += seconds
        if self.state is BreakerState.OPEN and self._is_over():
            self.state = BreakerState.HALF_OPEN

    @rule()
    def a_call_is_answered(self) -> None:
        self.breaker.succeeded()
        if self.state is not BreakerState.OPEN:
            self.state, self.in_a_row, self.next_pause = BreakerState.CLOSED, 0, 0.5

    @rule()
    def a_call_fails(self) -> None:
        self.breaker.failed()
        self.in_a_row += 1
        if self.state is BreakerState.HALF_OPEN or (
            self.state is BreakerState.CLOSED and self.in_a_row >= 2
        ):
            self.state = BreakerState.OPEN
            self.opens_until = self.clock.now + self.next_pause
            self.next_pause = min(self.next_pause * 2, LONGEST)

    @precondition(lambda self: self.state is not BreakerState.HALF_OPEN)
    @rule(seconds=st.sampled_from([0.2, 5, 50]))
    def the_upstream_asks_for_a_pause(self, seconds: float) -> None:
        self.breaker.hold_off(seconds)
        until = self.clock.now + min(seconds, LONGEST)
        self.opens_until = max(until, self.opens_until if self.state is BreakerState.OPEN else 0)
        self.state = BreakerState.OPEN

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.state is self.state
        assert (self.breaker.broken_for > 0) <= (self.state is not BreakerState.CLOSED)
        assert self.breaker.most(9) == {"CLOSED": 9, "HALF_OPEN": 1, "OPEN": 0}[self.state.name]
        if self.state is BreakerState.OPEN:
            assert self.breaker.wait() == pytest.approx(self.opens_until - self.clock.now)
        else:
            assert self.breaker.wait() == 0


BreakerModel.TestCase.settings = settings(max_examples=150, deadline=None)
TestBreaker = BreakerModel.TestCase
