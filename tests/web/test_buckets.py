"""Token buckets: never more than the burst and the rate allow, and never much less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.web.buckets import Buckets, Limit
from tests.web.bank import Clock

SECOND = 1_000_000_000


PAUSES = st.lists(st.integers(0, 3 * SECOND) | st.integers(0, SECOND // 100), max_size=60)


@given(rate=st.integers(1, 1_000_000), burst=st.integers(1, 50), pauses=PAUSES)
def test_a_bucket_gives_what_a_pail_with_a_tap_gives(
    rate: int, burst: int, pauses: list[int]
) -> None:
    """The model keeps tokens in parts of a billionth, as many as the elapsed time brought."""
    clock, limit = Clock(), Limit(rate, SECOND, burst)
    buckets = Buckets(clock)
    began, given_out, held = clock.now, 0, burst * limit.interval
    for pause in pauses:
        clock.now += pause
        held = min(burst * limit.interval, held + pause)
        looked = buckets.look("a", limit)
        quota = buckets.take("a", limit)
        assert (quota.wait == 0) == (looked.wait == 0) == (held >= limit.interval)
        if quota.wait:
            assert quota.wait == limit.interval - held
        else:
            held -= limit.interval
            given_out += 1
        assert quota.missing == burst * limit.interval - held
        assert given_out <= burst + rate * (clock.now - began) / SECOND


def test_a_wait_is_over_when_it_was_said_to_be() -> None:
    clock, limit = Clock(), Limit(3, SECOND, 2)
    buckets = Buckets(clock)
    assert [buckets.take("a", limit).wait for _ in range(2)] == [0, 0]
    wait = buckets.take("a", limit).wait
    clock.now += wait - 1
    assert buckets.take("a", limit).wait == 1
    clock.now += 1
    assert buckets.take("a", limit).wait == 0


def test_everyone_has_a_bucket_of_their_own() -> None:
    buckets, limit = Buckets(Clock()), Limit(1, SECOND, 1)
    assert buckets.take("a", limit).wait == 0
    assert buckets.take("a", limit).wait > 0
    assert buckets.take("b", limit).wait == 0


def test_headers_say_what_is_left_and_when_all_is_back() -> None:
    clock, limit = Clock(), Limit(2, SECOND, 10)
    buckets = Buckets(clock)

    def told() -> list[str]:
        headers: CIMultiDict[str] = CIMultiDict()
        buckets.take("a", limit).mark(headers)
        return [headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")]

    assert [told() for _ in range(11)] == [
        *(["10", str(9 - n), str((n + 2) // 2)] for n in range(10)),
        ["10", "0", "5"],
    ]
    clock.now += 100 * SECOND
    assert told() == ["10", "9", "1"]


@pytest.mark.parametrize(("rate", "seconds"), [(1000, 1), (1, 1)])
def test_whoever_is_refused_waits_at_least_a_second(rate: int, seconds: int) -> None:
    buckets, limit = Buckets(Clock()), Limit(rate, SECOND, 1)
    buckets.take("a", limit)
    assert buckets.take("a", limit).retry_after == seconds


def test_full_buckets_are_forgotten_and_others_are_not() -> None:
    clock, limit = Clock(), Limit(1, SECOND, 5)
    buckets = Buckets(clock, most=10)
    for number in range(8):
        buckets.take(number, limit)
    for _ in range(5):
        buckets.take("busy", limit)
    clock.now += 2 * SECOND
    buckets.take("next", limit)
    buckets.take("last", limit)
    assert len(buckets) == 3
    assert buckets.look("busy", limit).missing == 3 * SECOND


def test_memory_is_bounded_whoever_asks_and_the_busiest_stay_counted() -> None:
    buckets, limit = Buckets(Clock(), most=100), Limit(1, 60 * SECOND, 3)
    for _ in range(3):
        buckets.take("busiest", limit)
    for number in range(10_000):
        buckets.take(number, limit)
        assert len(buckets) <= 100
    assert buckets.look("busiest", limit).wait > 0
