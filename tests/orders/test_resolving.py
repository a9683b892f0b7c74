"""What an operator's word makes of orders that cannot be decided by machine."""

import pytest

from gateway.errors import UserError
from gateway.orders.resolving import Case, Outcome, Word, resolve
from schemas.doubts import Decision, TriedAttempt
from schemas.money import UNIT
from schemas.orders import AttemptState, OrderState, WireStatus
from schemas.schedules import Run, Schedule
from tests.orders.making import NOW, an_order

_HOUR = 3_600_000


def _subscription(*states: OrderState) -> Case:
    """A subscription in review of five posts at a hundred pieces, with those that were made."""
    order = an_order(OrderState.REVIEW, quantity=500, charge=5 * UNIT, service_type="Subscriptions")
    plan = Schedule(1, 5, None, None, 1, "somebody", busy=False, now=NOW)
    runs = [
        Run(1, n, 10 + n, str(n), state, 100, UNIT, 0, 0, WireStatus.COMPLETED)
        for n, state in enumerate(states, 1)
    ]
    return Case(order, [TriedAttempt(1, 1, "1", AttemptState.PLACED, "77")], plan, runs)


def _say(case: Case, decision: Decision, **more: object) -> Outcome:
    word = Word(decision, "a reason", **more)  # type: ignore[arg-type]
    return resolve(case, word, correction_ms=_HOUR)


def test_a_subscription_that_is_given_up_pays_back_what_was_not_served() -> None:
    ended = _subscription(OrderState.COMPLETED, OrderState.COMPLETED)
    [change] = _say(ended, Decision.CANCELED).changes
    assert (change.state, change.refund, change.wire_remains) == (
        *(OrderState.PARTIAL, 3 * UNIT, 300),
    )
    [change] = _say(_subscription(), Decision.CANCELED).changes
    assert (change.state, change.refund) == (OrderState.CANCELED, 5 * UNIT)


def test_a_subscription_whose_posts_run_is_followed_again_and_not_ended() -> None:
    running = _subscription(OrderState.COMPLETED, OrderState.IN_PROGRESS)
    with pytest.raises(UserError, match="still run"):
        _say(running, Decision.CANCELED)
    with pytest.raises(UserError, match="so it was placed"):
        _say(running, Decision.NOT_PLACED)
    with pytest.raises(UserError, match="in parts"):
        _say(running, Decision.COMPLETED)
    [change] = _say(running, Decision.PLACED, upstream_id="77").changes
    assert (change.state, change.refund) == (OrderState.PLACED, 0)


def test_a_package_is_not_partly_delivered() -> None:
    order = an_order(OrderState.REVIEW, service_type="Package", quantity=1)
    case = Case(order, [TriedAttempt(1, 1, "1", AttemptState.PLACED, "77")])
    with pytest.raises(UserError, match="as a whole"):
        _say(case, Decision.PARTIAL, remains=1)
    [change] = _say(case, Decision.COMPLETED).changes
    assert (change.state, change.refund, change.next_in) == (OrderState.COMPLETED, 0, _HOUR)


@pytest.mark.parametrize("upstream_id", ["", "no id", "0", " 5", "x" * 65])
def test_what_is_no_id_is_not_taken_for_one(upstream_id: str) -> None:
    case = Case(
        an_order(OrderState.UNKNOWN, upstream_id=None),
        [TriedAttempt(1, 1, "1", AttemptState.UNKNOWN, None)],
    )
    with pytest.raises(UserError, match="not an upstream's order id"):
        _say(case, Decision.PLACED, upstream_id=upstream_id)


def test_an_order_that_was_taken_elsewhere_than_it_was_last_sent_goes_back_there() -> None:
    order = an_order(OrderState.REVIEW, upstream_id=None, provider_id=2, upstream_service="b")
    tried = [
        TriedAttempt(1, 1, "a", AttemptState.NOT_SENT, None),
        TriedAttempt(2, 2, "b", AttemptState.REJECTED, None),
    ]
    [change] = _say(Case(order, tried), Decision.PLACED, upstream_id="5").changes
    assert (change.provider_id, change.upstream_service, change.upstream_id) == (1, "a", "5")
