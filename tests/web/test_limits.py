"""Who may ask how much: the default limit, a reseller's own, none; and wrong keys."""

from dataclasses import replace

import pytest
from multidict import CIMultiDict

from gateway.web.limits import (
    RateLimits,
    TooManyRequests,
    WrongKeys,
    calls_bucket,
    wrong_keys_bucket,
)
from schemas.config import LimitSettings
from schemas.resellers import UNLIMITED, Access, DuplicatePolicy, Scope
from tests.web.bank import Clock, banked

SECOND = 1_000_000_000
ACCESS = Access(
    key_id=1,
    reseller_id=1,
    currency="USD",
    suspended=False,
    scope=Scope.ORDER,
    networks=(),
    valid_seconds=None,
    request_limit=None,
    duplicates=DuplicatePolicy.SAFE_RETRY,
    text_ids=False,
    post_only=False,
)


def test_a_key_has_the_default_limit_its_reseller_s_or_none() -> None:
    limits = RateLimits(LimitSettings(requests_per_second=2, burst=3), banked(Clock()))

    def answered(access: Access) -> int:
        quotas = [limits.take(access) for _ in range(1000)]
        return sum(quota is None or not quota.wait for quota in quotas)

    assert answered(ACCESS) == 3
    assert answered(replace(ACCESS, key_id=2)) == 3
    assert answered(replace(ACCESS, key_id=3, request_limit=20)) == 200
    assert answered(replace(ACCESS, key_id=4, request_limit=UNLIMITED)) == 1000
    assert limits.take(replace(ACCESS, request_limit=UNLIMITED)) is None


def test_a_limit_that_becomes_smaller_is_never_shown_as_less_than_nothing() -> None:
    limits = RateLimits(LimitSettings(requests_per_second=1, burst=1000), banked(Clock()))
    for _ in range(900):
        limits.take(ACCESS)
    quota = limits.take(replace(ACCESS, request_limit=1))
    assert quota is not None
    headers: CIMultiDict[str] = CIMultiDict()
    quota.mark(headers)
    assert headers["X-RateLimit-Remaining"] == "0"
    assert quota.wait > 0


def test_wrong_keys_are_counted_by_their_source_until_time_has_passed() -> None:
    clock = Clock()
    wrong = WrongKeys(LimitSettings(wrong_keys_per_minute=60), banked(clock))
    for _ in range(60):
        assert not wrong.too_many("a")
        wrong.add("a")
    assert wrong.too_many("a")
    assert not wrong.too_many("b")
    with pytest.raises(TooManyRequests) as refused:
        wrong.add("a")
    assert refused.value.retry_after == 1
    clock.now += SECOND
    assert not wrong.too_many("a")


def test_the_buckets_of_a_reseller_are_in_one_slot_and_no_address_can_be_read() -> None:
    assert calls_bucket((7, 31), "f00d") == "smm:f00d:calls:{7}:31"
    name = wrong_keys_bucket("192.0.2.1", "f00d", b"p" * 80)
    assert name.startswith("smm:f00d:wrong_keys:")
    assert "192" not in name
    assert name != wrong_keys_bucket("192.0.2.1", "f00d", b"q" * 80)
    assert name != wrong_keys_bucket("192.0.2.2", "f00d", b"p" * 80)
