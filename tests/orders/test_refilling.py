"""Refills as decisions: which orders get one, and what each answer of an upstream means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.orders.refilling import (
    RefillOutcome,
    after_refill_call,
    after_refill_status,
    refusal_of_refill,
)
from providers.errors import Ambiguous, Rejected, Unavailable
from schemas import panel_v2 as wire
from schemas.aftercare import (
    FINAL_REFILL_STATES,
    OPEN_REFILL_STATES,
    REFILL_WORDS,
    ClaimedRefill,
    PolledRefill,
    RefillState,
    Terms,
)
from schemas.config import DispatchSettings, TrackingSettings
from schemas.orders import OrderState
from schemas.upstream import (
    Exchange,
    RefillWord,
    RefusalGroup,
    UpstreamRefill,
    UpstreamRequest,
)
from tests.orders.making import NOW, an_order

DAY = timedelta(days=1)
TERMS = Terms(
    refill=True,
    refill_days=30,
    cancel=True,
    ended_at=NOW - 2 * DAY,
    refill_open=False,
    last_refill_at=None,
    cancel_state=None,
)
DISPATCH = DispatchSettings(retry_first_ms=15_000, retry_last_ms=900_000)
TRACKING = TrackingSettings(first_ms=30_000, last_ms=900_000)
SENT, UNSENT = Exchange(sent=True, elapsed_ms=1), Exchange(sent=False, elapsed_ms=1)

_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("state", OrderState)
def test_only_what_was_delivered_is_refilled(state: OrderState) -> None:
    ended = state in (OrderState.COMPLETED, OrderState.PARTIAL)
    order = an_order(state, upstream_id="77" if ended else None)
    refusal = refusal_of_refill(order, TERMS, NOW, DAY)
    assert refusal == (None if ended else wire.NOT_COMPLETED)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"refill": False}, wire.REFILL_DISABLED),
        ({"ended_at": NOW - 30 * DAY}, None),
        ({"ended_at": NOW - 30 * DAY - timedelta(seconds=1)}, wire.REFILL_OVER),
        ({"ended_at": NOW - 9_999 * DAY, "refill_days": None}, None),
        ({"refill_open": True}, wire.REFILL_OPEN),
        ({"ended_at": NOW - DAY}, None),
        ({"ended_at": NOW - DAY + timedelta(seconds=1)}, wire.REFILL_TOO_EARLY),
        ({"last_refill_at": NOW - DAY}, None),
        ({"last_refill_at": NOW - DAY + timedelta(seconds=1)}, wire.REFILL_TOO_EARLY),
    ],
)
def test_each_term_refuses_in_its_own_words(
    changed: dict[str, object], refusal: str | None
) -> None:
    terms = replace(TERMS, **changed)  # type: ignore[arg-type]
    assert refusal_of_refill(an_order(OrderState.COMPLETED), terms, NOW, DAY) == refusal


def test_without_a_wait_an_order_is_refilled_at_its_end() -> None:
    terms = replace(TERMS, ended_at=NOW)
    order = an_order(OrderState.COMPLETED)
    assert refusal_of_refill(order, terms, NOW, timedelta()) is None


def test_an_order_that_no_upstream_has_is_not_refilled() -> None:
    order = an_order(OrderState.COMPLETED, upstream_id=None)
    assert refusal_of_refill(order, TERMS, NOW, DAY) == wire.REFILL_DISABLED


_LATER, _LOST, _NO = RefillState.REQUESTED, RefillState.UNKNOWN, RefillState.REJECTED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (UpstreamRequest(True, "7"), RefillState.PLACED),
        (UpstreamRequest(True), _LOST),
        (UpstreamRequest(False, error="Refill is disabled for this service"), _NO),
        (UpstreamRequest(False, error="The drop is below 5 percent"), _NO),
        (UpstreamRequest(False, error="Unknown action"), _NO),
        (UpstreamRequest(False), _NO),
        (UpstreamRequest(False, error="Too many requests"), _LATER),
        (UpstreamRequest(False, error="Invalid API key"), _LATER),
        (Rejected("x", RefusalGroup.ORDER, SENT), _NO),
        (Rejected("x", RefusalGroup.SERVICE, SENT), _NO),
        (Rejected("x", RefusalGroup.ACCOUNT, SENT), _LATER),
        (Rejected("x", RefusalGroup.TEMPORARY, SENT), _LATER),
        (Unavailable("x", UNSENT), _LATER),
        (Unavailable("x", replace(SENT, status=429)), _LATER),
        (Unavailable("x", replace(SENT, status=503)), _LOST),
        (Unavailable("x", SENT), _LOST),
        (Unavailable("x"), _LOST),
        (Ambiguous("x", SENT), _LOST),
        (None, _LOST),
    ],
)
def test_only_proof_that_nothing_was_taken_lets_a_refill_be_sent_again(
    outcome: RefillOutcome, state: RefillState
) -> None:
    change = after_refill_call(
        ClaimedRefill(5, 1, "77", tries=2, claimed_at=_AT), outcome, DISPATCH
    )
    assert (change.id, change.state) == (5, state)
    assert (change.upstream_id is not None) == (state is RefillState.PLACED)
    assert (change.next_in is not None) == (state in (_LATER, RefillState.PLACED))
    if state is _LATER:
        assert change.next_in == 30_000


def test_a_panel_says_how_long_to_wait() -> None:
    told = replace(SENT, status=429, retry_after=3_600)
    change = after_refill_call(
        ClaimedRefill(5, 1, "77", 1, claimed_at=_AT), Unavailable("x", told), DISPATCH
    )
    assert change.next_in == 3_600_000


@pytest.mark.parametrize(
    ("before", "heard", "state"),
    [
        ("placed", UpstreamRefill(RefillWord.PENDING), "placed"),
        ("placed", UpstreamRefill(RefillWord.IN_PROGRESS), "in_progress"),
        ("in_progress", UpstreamRefill(RefillWord.PENDING), "in_progress"),
        ("placed", UpstreamRefill(RefillWord.COMPLETED), "completed"),
        ("in_progress", UpstreamRefill(RefillWord.REJECTED), "rejected"),
        ("in_progress", UpstreamRefill(RefillWord.FAILED), "failed"),
        ("in_progress", UpstreamRefill(None, raw_word="Strange"), "in_progress"),
        ("placed", UpstreamRefill(None, error="Refill not found"), "placed"),
        ("placed", None, "placed"),
    ],
)
def test_a_report_moves_a_refill_forward_and_nonsense_leaves_it(
    before: str, heard: UpstreamRefill | None, state: str
) -> None:
    refill = PolledRefill(5, RefillState(before), "7", NOW - timedelta(minutes=1))
    change = after_refill_status(refill, heard, NOW, TRACKING)
    assert change.state == RefillState(state)
    assert (change.next_in is None) == (change.state in FINAL_REFILL_STATES)


def test_an_old_refill_is_asked_for_ever_less_often() -> None:
    ages = [timedelta(seconds=1), timedelta(hours=1), timedelta(days=9)]
    refills = [PolledRefill(5, RefillState.PLACED, "7", NOW - age) for age in ages]
    waits = [after_refill_status(r, None, NOW, TRACKING).next_in for r in refills]
    assert waits == [30_000, 360_000, 900_000]


def test_every_state_has_a_word_of_the_reference() -> None:
    assert set(REFILL_WORDS) == set(RefillState) == OPEN_REFILL_STATES | FINAL_REFILL_STATES
    assert set(REFILL_WORDS.values()) == {
        "Pending",
        "In progress",
        "Completed",
        "Rejected",
        "Error",
    }
