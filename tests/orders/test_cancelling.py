"""Cancelling as decisions: what a request does in each state, and what each answer means."""

from dataclasses import replace

import pytest

from gateway.orders.cancelling import (
    MOST_TRIES,
    STEPS,
    CancelOutcome,
    Step,
    after_cancel_call,
    after_wait,
    canceled,
    step_of,
)
from gateway.orders.lifecycle import IllegalMove
from providers.errors import Rejected, Unavailable
from schemas import panel_v2 as wire
from schemas.aftercare import CancelState, ClaimedCancel
from schemas.orders import MOVES, OPEN_STATES, OrderState, WireStatus
from schemas.panel_v2 import PanelError
from schemas.upstream import Exchange, RefusalGroup, UpstreamRequest
from tests.orders.making import an_order
from tests.orders.test_refilling import DISPATCH, TERMS

SENT = Exchange(sent=True, elapsed_ms=1)


def test_every_open_state_has_its_step_and_no_ended_one() -> None:
    assert set(STEPS) == OPEN_STATES


def test_only_what_provably_runs_nowhere_is_canceled_at_once() -> None:
    at_once = {state for state, step in STEPS.items() if step is Step.AT_ONCE}
    assert at_once == {OrderState.QUEUED}
    assert all(OrderState.CANCELED in MOVES[state] for state in at_once)


@pytest.mark.parametrize("state", OrderState)
def test_what_ended_and_what_is_not_offered_is_not_canceled(state: OrderState) -> None:
    order = an_order(state)
    if state in OPEN_STATES:
        assert step_of(order, TERMS, by_operator=False) is STEPS[state]
        assert step_of(order, replace(TERMS, cancel=False), by_operator=True) is STEPS[state]
    if state is OrderState.SCHEDULED:
        assert step_of(order, replace(TERMS, cancel=False), by_operator=False) is Step.STOPPED
        return
    with pytest.raises(PanelError, match=f"^{wire.CANCEL_UNAVAILABLE}$"):
        step_of(order, replace(TERMS, cancel=state not in OPEN_STATES), by_operator=False)


@pytest.mark.parametrize("earlier", CancelState)
def test_a_second_request_is_refused_while_the_first_is_open(earlier: CancelState) -> None:
    terms = replace(TERMS, cancel_state=earlier)
    placed, queued = an_order(OrderState.PLACED), an_order(OrderState.QUEUED)
    assert step_of(queued, terms, by_operator=False) is Step.AT_ONCE
    if earlier in (CancelState.REFUSED, CancelState.OVER):
        assert step_of(placed, terms, by_operator=False) is Step.STORED
        return
    with pytest.raises(PanelError, match=f"^{wire.CANCEL_REQUESTED}$"):
        step_of(placed, terms, by_operator=True)


def test_an_unsent_order_gets_all_back_and_a_sent_one_is_never_canceled_here() -> None:
    change = canceled(an_order(OrderState.QUEUED, upstream_id=None), "wanted")
    assert (change.state, change.refund) == (OrderState.CANCELED, change.order.charge)
    assert (change.wire_status, change.wire_charge) == (WireStatus.CANCELED, 0)
    assert change.wire_remains == change.order.quantity
    for state in (OrderState.SENDING, OrderState.UNKNOWN, OrderState.FAILED):
        with pytest.raises(IllegalMove):
            canceled(an_order(state), "wanted")


@pytest.mark.parametrize("state", OrderState)
def test_a_stored_request_waits_until_the_order_is_settled_one_way_or_the_other(
    state: OrderState,
) -> None:
    expected = None if state in OPEN_STATES else CancelState.OVER
    if state is OrderState.QUEUED:
        expected = CancelState.TAKEN
    assert after_wait(an_order(state)) == expected


_ASK, _TAKEN, _NO = CancelState.REQUESTED, CancelState.TAKEN, CancelState.REFUSED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (UpstreamRequest(True), _TAKEN),
        (UpstreamRequest(True, "5"), _TAKEN),
        (UpstreamRequest(False, error="Cancel already requested."), _TAKEN),
        (UpstreamRequest(False, error="This order cannot be canceled"), _NO),
        (UpstreamRequest(False, error="Computer says no"), _NO),
        (UpstreamRequest(False, error="Invalid action"), _NO),
        (UpstreamRequest(False), _NO),
        (UpstreamRequest(False, error="Too many requests"), _ASK),
        (UpstreamRequest(False, error="Invalid API key"), _ASK),
        (Rejected("x", RefusalGroup.ACCOUNT, SENT), _ASK),
        (Unavailable("x", SENT), _ASK),
        (Unavailable("x"), _ASK),
        (None, _ASK),
    ],
)
def test_what_is_not_clear_is_asked_again_a_limited_number_of_times(
    outcome: CancelOutcome, state: CancelState
) -> None:
    change = after_cancel_call(ClaimedCancel(1, "77", tries=2), outcome, DISPATCH)
    assert (change.order_id, change.tries, change.state) == (1, 2, state)
    assert change.next_in == (30_000 if state is _ASK else 0)
    last = after_cancel_call(ClaimedCancel(1, "77", MOST_TRIES), outcome, DISPATCH)
    assert last.state is (_NO if state is _ASK else state)
    assert (last.reason is None) == (state is _TAKEN or outcome == UpstreamRequest(False))
