"""What an upstream's report makes of an order: each report, and any sequence."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orders.lifecycle import IllegalMove, Polling, after_status, move
from schemas.money import UNIT
from schemas.orders import FINAL_STATES, FINAL_WORDS, MOVES, Order, OrderState, WireStatus
from schemas.services import SERVICE_TYPES, Pricing
from schemas.upstream import UpstreamStatus, UpstreamWord
from tests.orders.making import NOW, an_order, written

POLLING = Polling(first_ms=30_000, last_ms=900_000, correction_ms=86_400_000, watch_ms=604_800_000)
_CHARGE = 10 * UNIT
_PACKAGES = {n for n, kind in SERVICE_TYPES.items() if kind.pricing is Pricing.PER_ORDER}


def heard(
    word: UpstreamWord | None, remains: int | None = None, **values: object
) -> UpstreamStatus:
    return UpstreamStatus(word=word, remains=remains, **values)  # type: ignore[arg-type]


def after(order: Order, *reports: UpstreamStatus) -> Order:
    """The order after it was told of these reports, one after the other."""
    for report in reports:
        change = after_status(order, report, NOW, POLLING)
        order = order if change is None else written(change)
    return order


def told(order: Order) -> tuple[WireStatus, int, int]:
    return order.wire_status, order.wire_charge, order.wire_remains


# T01-T03: repetition, and what comes too late


def test_the_same_report_again_moves_nothing() -> None:
    once = after(an_order(), heard(UpstreamWord.IN_PROGRESS, 700))
    change = after_status(once, heard(UpstreamWord.IN_PROGRESS, 700), NOW, POLLING)
    assert change is not None
    assert not change.moved
    assert change.refund == 0
    assert written(change) == once


@pytest.mark.parametrize(
    "end",
    [
        heard(UpstreamWord.COMPLETED, 0),
        heard(UpstreamWord.PARTIAL, 400),
        heard(UpstreamWord.CANCELED),
    ],
)
def test_the_same_end_again_changes_nothing(end: UpstreamStatus) -> None:
    once = after(an_order(), end)
    assert after(once, end) == once


def test_pending_after_in_progress_is_not_shown() -> None:
    order = after(an_order(), heard(UpstreamWord.IN_PROGRESS, 500), heard(UpstreamWord.PENDING))
    assert order.state is OrderState.IN_PROGRESS
    assert order.wire_status is WireStatus.IN_PROGRESS


def test_processing_is_told_while_the_order_stays_placed() -> None:
    order = after(an_order(), heard(UpstreamWord.PROCESSING, 1000, start_count=12))
    assert order.state is OrderState.PLACED
    assert told(order) == (WireStatus.PROCESSING, _CHARGE, 1000)
    assert order.start_count == 12


# ends, and what each owes


def test_completed_keeps_the_charge() -> None:
    order = after(an_order(), heard(UpstreamWord.COMPLETED, 0, start_count=5))
    assert (order.state, order.refunded) == (OrderState.COMPLETED, 0)
    assert told(order) == (WireStatus.COMPLETED, _CHARGE, 0)


def test_partial_refunds_what_remains() -> None:
    order = after(an_order(), heard(UpstreamWord.PARTIAL, 400))
    assert (order.state, order.refunded) == (OrderState.PARTIAL, 4 * UNIT)
    assert told(order) == (WireStatus.PARTIAL, 6 * UNIT, 400)


def test_a_refund_is_rounded_down() -> None:
    order = after(an_order(quantity=3, charge=10), heard(UpstreamWord.PARTIAL, 2))
    assert order.refunded == 6
    assert order.wire_charge == 4


def test_a_partial_of_everything_refunds_everything() -> None:
    order = after(an_order(), heard(UpstreamWord.PARTIAL, 1000))
    assert (order.state, order.refunded) == (OrderState.PARTIAL, _CHARGE)


@pytest.mark.parametrize(("remains", "shown"), [(None, 1000), (1000, 1000), (300, 300), (-2, 0)])
def test_canceled_refunds_everything_whatever_was_delivered(
    remains: int | None, shown: int
) -> None:
    order = after(an_order(), heard(UpstreamWord.CANCELED, remains))
    assert (order.state, order.refunded) == (OrderState.CANCELED, _CHARGE)
    assert told(order) == (WireStatus.CANCELED, 0, shown)


# T04-T05: late corrections


@pytest.mark.parametrize(
    ("first", "then", "state", "refunded"),
    [
        (
            heard(UpstreamWord.COMPLETED, 0),
            heard(UpstreamWord.PARTIAL, 250),
            OrderState.PARTIAL,
            250,
        ),
        (heard(UpstreamWord.COMPLETED, 0), heard(UpstreamWord.CANCELED), OrderState.CANCELED, 1000),
        (
            heard(UpstreamWord.PARTIAL, 100),
            heard(UpstreamWord.PARTIAL, 300),
            OrderState.PARTIAL,
            300,
        ),
        (heard(UpstreamWord.PARTIAL, 100), heard(UpstreamWord.CANCELED), OrderState.CANCELED, 1000),
    ],
)
def test_a_late_correction_pays_the_difference_and_leaves_what_was_told(
    first: UpstreamStatus, then: UpstreamStatus, state: OrderState, refunded: int
) -> None:
    ended = after(an_order(), first)
    corrected = after(ended, then)
    assert corrected.state is state
    assert corrected.refunded == refunded * _CHARGE // 1000
    assert told(corrected) == told(ended)
    assert after(corrected, then) == corrected


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (heard(UpstreamWord.PARTIAL, 300), heard(UpstreamWord.PARTIAL, 100)),
        (heard(UpstreamWord.PARTIAL, 300), heard(UpstreamWord.COMPLETED, 0)),
        (heard(UpstreamWord.PARTIAL, 300), heard(UpstreamWord.IN_PROGRESS, 300)),
        (heard(UpstreamWord.PARTIAL, 300), heard(UpstreamWord.PARTIAL, 5000)),
        (heard(UpstreamWord.PARTIAL, 300), heard(None, raw_word="Refunded")),
        (heard(UpstreamWord.CANCELED), heard(UpstreamWord.COMPLETED, 0)),
        (heard(UpstreamWord.CANCELED), heard(UpstreamWord.IN_PROGRESS)),
        (heard(UpstreamWord.CANCELED), heard(UpstreamWord.PARTIAL, 10)),
        (heard(UpstreamWord.COMPLETED, 0), heard(UpstreamWord.PENDING)),
        (heard(UpstreamWord.COMPLETED, 0), heard(UpstreamWord.FAILED)),
        (heard(UpstreamWord.COMPLETED, 0), heard(UpstreamWord.PARTIAL, -2)),
        (heard(UpstreamWord.COMPLETED, 0), heard(None, error="Incorrect order ID")),
    ],
)
def test_a_finished_order_never_gets_better_and_takes_no_money_back(
    first: UpstreamStatus, then: UpstreamStatus
) -> None:
    ended = after(an_order(), first)
    assert after(ended, then) == ended


# T06-T07: ends that make no sense


@pytest.mark.parametrize("remains", [1, 500, 999])
def test_completed_with_something_left_is_completed(remains: int) -> None:
    order = after(an_order(), heard(UpstreamWord.COMPLETED, remains))
    assert (order.state, order.refunded) == (OrderState.COMPLETED, 0)
    assert told(order) == (WireStatus.COMPLETED, _CHARGE, remains)


@pytest.mark.parametrize("remains", [1000, 1001, 10**20])
def test_completed_with_nothing_delivered_is_looked_at_by_a_person(remains: int) -> None:
    order = after(an_order(), heard(UpstreamWord.COMPLETED, remains))
    assert (order.state, order.refunded) == (OrderState.REVIEW, 0)
    assert order.wire_status is WireStatus.PENDING
    assert order.wire_charge == _CHARGE


@pytest.mark.parametrize("remains", [None, 0, -2, 1001, 10**20, -(10**20)])
def test_a_partial_that_counts_wrongly_is_looked_at_by_a_person(remains: int | None) -> None:
    order = after(an_order(), heard(UpstreamWord.PARTIAL, remains))
    assert (order.state, order.refunded) == (OrderState.REVIEW, 0)
    assert order.wire_charge == _CHARGE


@pytest.mark.parametrize("service_type", sorted(_PACKAGES))
def test_a_package_is_never_partly_refunded_by_counters_of_the_upstream(
    service_type: str,
) -> None:
    package = an_order(quantity=1, service_type=service_type)
    order = after(package, heard(UpstreamWord.IN_PROGRESS, 700), heard(UpstreamWord.PARTIAL, 1))
    assert (order.state, order.refunded) == (OrderState.REVIEW, 0)
    assert order.wire_remains == 1
    done = after(package, heard(UpstreamWord.COMPLETED, 250))
    assert done.state is OrderState.COMPLETED


# T09-T13: numbers


def test_the_upstream_charge_moves_no_money_of_ours() -> None:
    report = heard(UpstreamWord.COMPLETED, 0, charge=Decimal(999_999), currency="EUR")
    assert after(an_order(), report).refunded == 0


def test_the_first_start_count_stays() -> None:
    order = after(
        an_order(),
        heard(UpstreamWord.IN_PROGRESS, 900),
        heard(UpstreamWord.IN_PROGRESS, 800, start_count=120),
        heard(UpstreamWord.IN_PROGRESS, 700, start_count=5),
        heard(UpstreamWord.COMPLETED, 0, start_count=0),
    )
    assert order.start_count == 120


@pytest.mark.parametrize(("remains", "shown"), [(-5, 0), (400, 400), (5000, 1000), (10**30, 1000)])
def test_remains_are_told_within_the_order(remains: int, shown: int) -> None:
    assert after(an_order(), heard(UpstreamWord.IN_PROGRESS, remains)).wire_remains == shown


# T14-T16: words that say nothing


@pytest.mark.parametrize("word", ["Success", "0", "Awaiting", "", "Отменён"])
def test_an_unknown_word_changes_nothing(word: str) -> None:
    order = an_order(OrderState.IN_PROGRESS)
    change = after_status(order, heard(None, 0, raw_word=word), NOW, POLLING)
    assert change is not None
    assert not change.moved
    assert written(change) == order


def test_fail_says_nothing_about_money_and_goes_to_a_person() -> None:
    order = after(an_order(), heard(UpstreamWord.FAILED, 1000))
    assert (order.state, order.refunded) == (OrderState.REVIEW, 0)
    assert order.wire_charge == _CHARGE


def test_an_order_that_the_upstream_does_not_know_waits_a_day_for_a_person() -> None:
    forgotten = heard(None, error="Incorrect order ID")
    young = an_order(age=timedelta(days=9), missing_since=NOW - timedelta(hours=23))
    assert after(young, forgotten).state is OrderState.PLACED
    old = after(an_order(missing_since=NOW - timedelta(hours=25)), forgotten)
    assert (old.state, old.refunded) == (OrderState.REVIEW, 0)


def test_only_denials_count_towards_a_day_of_missing() -> None:
    order = an_order(age=timedelta(days=9), missing_since=NOW - timedelta(hours=25))
    assert after(order, heard(None, error="Temporary database error")).state is OrderState.PLACED

    def missing(status: UpstreamStatus) -> bool:
        change = after_status(order, status, NOW, POLLING)
        assert change is not None
        return change.missing

    young = replace(order, missing_since=None)
    change = after_status(young, heard(None, error="Order not found."), NOW, POLLING)
    assert change is not None
    assert change.missing
    assert not missing(heard(None, error="Temporary database error"))
    assert not missing(heard(UpstreamWord.PENDING))


def test_a_start_count_of_zero_gives_way_to_the_real_one() -> None:
    order = after(an_order(start_count=0), heard(UpstreamWord.IN_PROGRESS, start_count=3572))
    assert order.start_count == 3572
    assert after(order, heard(UpstreamWord.COMPLETED, start_count=9)).start_count == 3572


def test_silence_never_ends_an_order() -> None:
    old = an_order(age=timedelta(days=300))
    assert after(old, heard(None)) == old


@pytest.mark.parametrize(
    "state",
    [
        OrderState.QUEUED,
        OrderState.SENDING,
        OrderState.UNKNOWN,
        OrderState.REVIEW,
        OrderState.CANCELED,
        OrderState.FAILED,
    ],
)
@pytest.mark.parametrize("word", UpstreamWord)
def test_reports_move_only_orders_that_are_known_to_run(
    state: OrderState, word: UpstreamWord
) -> None:
    assert after_status(an_order(state), heard(word, 1), NOW, POLLING) is None


# when the next look is due


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(seconds=1), 30_000),
        (timedelta(minutes=10), 60_000),
        (timedelta(hours=1), 360_000),
        (timedelta(days=30), 900_000),
    ],
)
def test_old_orders_are_asked_for_less_often(age: timedelta, expected: int) -> None:
    change = after_status(an_order(age=age), heard(UpstreamWord.PENDING), NOW, POLLING)
    assert change is not None
    assert change.next_in == expected


def test_a_finished_order_is_looked_at_again_for_corrections() -> None:
    change = after_status(an_order(), heard(UpstreamWord.COMPLETED, 0), NOW, POLLING)
    assert change is not None
    assert change.next_in == POLLING.correction_ms


# moves


@pytest.mark.parametrize("before", OrderState)
@pytest.mark.parametrize("to", OrderState)
def test_only_moves_of_the_table_can_be_made(before: OrderState, to: OrderState) -> None:
    order = an_order(before)
    if to in MOVES[before]:
        assert move(order, to, "test").state is to
    else:
        with pytest.raises(IllegalMove):
            move(order, to, "test")


def test_nothing_leads_from_unknown_to_the_reseller_s_money() -> None:
    assert MOVES[OrderState.UNKNOWN].isdisjoint(FINAL_STATES)


REPORTS = st.builds(
    UpstreamStatus,
    word=st.none() | st.sampled_from(UpstreamWord),
    raw_word=st.sampled_from(["", "Odd"]),
    start_count=st.none() | st.integers(-5, 2**40),
    remains=st.none() | st.integers(-10, 1200) | st.sampled_from([2**31, -(2**31), 10**20]),
    charge=st.none() | st.decimals(allow_nan=True, allow_infinity=True),
    error=st.none() | st.just("Incorrect order ID"),
)


@given(
    charge=st.integers(1, 10**12),
    quantity=st.integers(1, 1000),
    service_type=st.sampled_from(["Default", "Package", "Custom Comments"]),
    reports=st.lists(REPORTS, max_size=12),
)
def test_no_sequence_of_reports_pays_too_much_or_unsays_an_end(
    charge: int, quantity: int, service_type: str, reports: list[UpstreamStatus]
) -> None:
    order = an_order(charge=charge, quantity=quantity, service_type=service_type)
    for report in reports:
        change = after_status(order, report, NOW, POLLING)
        if change is None:
            continue
        new = written(change)
        assert new.state is order.state or new.state in MOVES[order.state]
        assert change.moved or new.state is order.state
        assert order.refunded <= new.refunded <= charge
        assert change.refund == 0 or new.state in FINAL_STATES
        assert 0 <= new.wire_charge <= charge
        assert 0 <= new.wire_remains <= quantity
        assert new.remains is None or abs(new.remains) < 2**31
        assert change.next_in is None or change.next_in >= 0
        if order.state in FINAL_STATES:
            assert told(new) == told(order)
        elif new.state in FINAL_STATES:
            assert new.wire_status is FINAL_WORDS[new.state]
            assert new.wire_charge == charge - new.refunded
        order = new
    if order.state is OrderState.CANCELED:
        assert order.refunded == charge
    elif order.state is OrderState.COMPLETED:
        assert order.refunded == 0
    elif order.state is OrderState.PARTIAL:
        assert order.remains is not None
        assert order.refunded == charge * order.remains // quantity
    else:
        assert order.refunded == 0
