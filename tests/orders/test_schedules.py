"""Drip-feed decided: when a run is made, what it costs, and how its parent ends. No database."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orders.schedules import Step, next_step, stopped
from schemas.money import first_shares, share_of, undelivered_part
from schemas.orders import FINAL_WORDS, Order, OrderState, WireStatus
from schemas.schedules import Run, Schedule
from tests.orders.making import NOW, an_order, written

CHARGES = st.integers(min_value=1, max_value=10**12)
PARTS = st.integers(min_value=1, max_value=200)


def a_parent(runs: int = 3, *, each: int = 100, charge: int = 1_000_001) -> Order:
    """A drip-feed of ``runs`` runs, of which none is made."""
    return an_order(
        OrderState.SCHEDULED, quantity=each * runs, charge=charge, upstream_id=None, attempts=0
    )


def a_plan(
    runs: int = 3,
    *,
    interval: int = 60,
    due: datetime | None = NOW,
    now: datetime = NOW,
    busy: bool = False,
) -> Schedule:
    """Its plan: the next run is due now."""
    return Schedule(1, runs, interval, due, 1, "https://a.example", busy, now)


def a_run(
    parent: Order, plan: Schedule, number: int, state: OrderState, remains: int | None = None
) -> Run:
    """Run ``number`` as it stands, with the money that its state gives back."""
    quantity = parent.quantity // plan.runs
    charge = share_of(parent.charge, number, plan.runs)
    refunded = 0
    if state in (OrderState.CANCELED, OrderState.FAILED):
        refunded = charge
    elif state is OrderState.PARTIAL:
        assert remains is not None
        refunded = undelivered_part(charge, remains, quantity)
    word = FINAL_WORDS.get(state, WireStatus.PENDING)
    return Run(1, number, 1 + number, "7", state, quantity, charge, refunded, remains, word)


@given(CHARGES, PARTS)
def test_the_shares_of_a_charge_add_up_to_it_and_differ_by_one_at_most(
    charge: int, parts: int
) -> None:
    shares = [share_of(charge, number, parts) for number in range(1, parts + 1)]
    assert sum(shares) == charge
    assert max(shares) - min(shares) <= 1
    assert all(sum(shares[:n]) == first_shares(charge, n, parts) for n in range(parts + 1))


@pytest.mark.parametrize("number", [-1, 0, 4])
def test_there_is_no_share_of_a_part_that_is_not_there(number: int) -> None:
    with pytest.raises(ValueError, match="part"):
        share_of(100, number, 3)


def test_a_run_that_is_due_is_made_and_the_next_is_planned_from_its_plan() -> None:
    late = NOW + timedelta(minutes=7)
    step = next_step(a_parent(), a_plan(now=late), [])
    assert (step.number, step.charge) == (1, 333_333)
    assert step.next_run_at == NOW + timedelta(minutes=60)
    assert not step.change.moved


def test_time_that_was_lost_is_not_made_up_for() -> None:
    late = NOW + timedelta(days=2)
    parent, plan = a_parent(), a_plan(now=late)
    step = next_step(parent, plan, [])
    assert step.next_run_at == late + timedelta(minutes=60)
    ended = [a_run(parent, plan, 1, OrderState.COMPLETED)]
    again = next_step(parent, replace(plan, next_run_at=step.next_run_at), ended)
    assert again.number is None
    assert again.change.next_in == 3_600_001


def test_the_last_run_takes_what_the_others_left_and_none_is_planned_after_it() -> None:
    parent, plan = a_parent(), a_plan()
    runs = [a_run(parent, plan, number, OrderState.COMPLETED) for number in (1, 2)]
    step = next_step(parent, plan, runs)
    assert (step.number, step.charge, step.next_run_at) == (3, 333_334, None)


@pytest.mark.parametrize(
    "state",
    [
        OrderState.QUEUED,
        OrderState.SENDING,
        OrderState.UNKNOWN,
        OrderState.REVIEW,
        OrderState.PLACED,
        OrderState.IN_PROGRESS,
    ],
)
def test_an_open_run_holds_up_the_next_however_late_it_is(state: OrderState) -> None:
    parent, plan = a_parent(), a_plan(now=NOW + timedelta(days=9))
    step = next_step(parent, plan, [a_run(parent, plan, 1, state)])
    assert step.number is None
    assert step.change.next_in == 60_000


def test_another_drip_feed_on_the_link_holds_up_the_run() -> None:
    assert next_step(a_parent(), a_plan(busy=True), []).number is None


def test_a_parent_is_told_in_progress_and_what_remains_while_it_runs() -> None:
    parent, plan = a_parent(), a_plan(due=NOW + timedelta(minutes=5))
    waiting = a_run(parent, plan, 1, OrderState.QUEUED)
    assert next_step(parent, plan, [waiting]).change.wire_status is WireStatus.PENDING
    ended = a_run(parent, plan, 1, OrderState.PARTIAL, 40)
    change = next_step(parent, plan, [ended]).change
    assert (change.wire_status, change.wire_remains) == (WireStatus.IN_PROGRESS, 240)
    assert change.wire_charge == parent.charge


_ENDS: list[tuple[list[tuple[OrderState, int | None]], OrderState, int, int]] = [
    ([(OrderState.COMPLETED, None)] * 3, OrderState.COMPLETED, 1_000_001, 0),
    ([(OrderState.CANCELED, None)] * 3, OrderState.CANCELED, 0, 300),
    ([(OrderState.FAILED, None)] * 3, OrderState.CANCELED, 0, 300),
    ([(OrderState.PARTIAL, 100)] * 3, OrderState.CANCELED, 0, 300),
    (
        [(OrderState.COMPLETED, None), (OrderState.PARTIAL, 30), (OrderState.CANCELED, None)],
        OrderState.PARTIAL,
        1_000_001 - 333_334 * 30 // 100 - 333_334,
        130,
    ),
]


@pytest.mark.parametrize(("ends", "state", "charge", "remains"), _ENDS)
def test_a_parent_ends_as_its_runs_did(
    ends: list[tuple[OrderState, int | None]], state: OrderState, charge: int, remains: int
) -> None:
    parent, plan = a_parent(), a_plan(due=None)
    runs = [a_run(parent, plan, number, *end) for number, end in enumerate(ends, 1)]
    change = next_step(parent, plan, runs).change
    assert (change.state, change.wire_status) == (state, FINAL_WORDS[state])
    assert (change.wire_charge, change.wire_remains, change.refund) == (charge, remains, 0)
    assert change.next_in is None


def test_stopping_pays_the_runs_that_were_not_made_at_once() -> None:
    parent, plan = a_parent(), a_plan()
    sent = a_run(parent, plan, 1, OrderState.PLACED)
    change = stopped(parent, plan, [sent])
    assert change is not None
    assert (change.state, change.refund) == (OrderState.SCHEDULED, 666_668)
    after = written(change)
    assert stopped(after, replace(plan, next_run_at=None), [sent]) is None
    ended = replace(sent, state=OrderState.COMPLETED)
    end = next_step(after, replace(plan, next_run_at=None), [ended]).change
    assert (end.state, end.refund, end.wire_charge) == (OrderState.PARTIAL, 0, 333_333)
    assert end.wire_remains == 200


def test_stopping_before_the_first_run_gives_everything_back() -> None:
    change = stopped(a_parent(), a_plan(), [])
    assert change is not None
    assert (change.state, change.refund) == (OrderState.CANCELED, 1_000_001)
    assert (change.wire_status, change.wire_charge) == (WireStatus.CANCELED, 0)


def test_a_parent_that_has_ended_is_not_stopped() -> None:
    parent = replace(a_parent(), state=OrderState.COMPLETED)
    assert stopped(parent, a_plan(due=None), []) is None


@dataclass
class Life:
    """A drip-feed from its creation to its end, in a world without a database."""

    parent: Order
    plan: Schedule
    runs: list[Run] = field(default_factory=list)
    made_at: list[datetime] = field(default_factory=list)

    def look(self) -> Step:
        """One look at the parent, written."""
        step = next_step(self.parent, self.plan, self.runs)
        self.parent = written(step.change)
        if step.number is not None:
            run = a_run(self.parent, self.plan, step.number, OrderState.QUEUED)
            self.runs.append(replace(run, charge=step.charge))
            self.plan = replace(self.plan, next_run_at=step.next_run_at)
            self.made_at.append(self.plan.now)
        return step

    def end_last(self, state: OrderState, remains: int | None) -> None:
        """The newest run ends."""
        last = self.runs[-1]
        self.runs[-1] = a_run(self.parent, self.plan, last.number, state, remains)

    def pass_time(self, minutes: int) -> None:
        """The clock moves."""
        self.plan = replace(self.plan, now=self.plan.now + timedelta(minutes=minutes))

    def stop(self) -> None:
        """The reseller cancels."""
        change = stopped(self.parent, self.plan, self.runs)
        if change:
            self.parent = written(change)
            self.plan = replace(self.plan, next_run_at=None)

    @property
    def refunds(self) -> int:
        """All that was given back."""
        return self.parent.refunded + sum(run.refunded for run in self.runs)


ENDS = st.tuples(
    st.sampled_from(
        [OrderState.COMPLETED, OrderState.PARTIAL, OrderState.CANCELED, OrderState.FAILED]
    ),
    st.integers(1, 10),  # of 10 pieces, what remains of a partial run
    st.integers(0, 400),  # minutes until the next look
)


def _play(life: Life, ends: Sequence[tuple[OrderState, int, int]], stop_at: int | None) -> None:
    for turn, (state, remains, minutes) in enumerate(ends):
        if turn == stop_at:
            life.stop()
        if life.parent.state is not OrderState.SCHEDULED:
            return
        step = life.look()
        assert life.refunds <= life.parent.charge
        if step.number is not None:
            assert life.look().number is None
            if turn == stop_at:
                life.stop()
            life.end_last(state, remains if state is OrderState.PARTIAL else None)
        life.pass_time(minutes)


@given(
    charge=CHARGES,
    parts=st.integers(1, 6),
    ends=st.lists(ENDS, max_size=15),
    stop_at=st.none() | st.integers(0, 10),
)
def test_whatever_becomes_of_its_runs_a_parent_costs_exactly_what_was_delivered(
    charge: int, parts: int, ends: list[tuple[OrderState, int, int]], stop_at: int | None
) -> None:
    parent = a_parent(parts, each=10, charge=charge)
    life = Life(parent, a_plan(parts, now=NOW))
    _play(life, ends, stop_at)
    life.pass_time(10_000)
    while life.parent.state is OrderState.SCHEDULED:
        if life.look().number is not None:
            life.end_last(OrderState.COMPLETED, None)
        life.pass_time(10_000)
    assert [run.number for run in life.runs] == list(range(1, len(life.runs) + 1))
    made = sum(run.charge for run in life.runs)
    assert life.parent.refunded == charge - made
    assert life.parent.wire_charge == charge - life.refunds
    assert 0 <= life.refunds <= charge
    for earlier, later in zip(life.made_at, life.made_at[1:], strict=False):
        assert later - earlier >= timedelta(0)
    match life.parent.state:
        case OrderState.COMPLETED:
            assert (life.refunds, life.parent.wire_remains, made) == (0, 0, charge)
        case OrderState.CANCELED:
            assert (life.refunds, life.parent.wire_remains) == (charge, parent.quantity)
        case _:
            assert 0 < life.parent.wire_remains < parent.quantity


@given(st.lists(st.integers(0, 500), max_size=25), st.integers(1, 120))
def test_no_hour_sees_more_runs_than_the_interval_allows(pauses: list[int], interval: int) -> None:
    life = Life(a_parent(30), a_plan(30, interval=interval))
    for minutes in pauses:
        if life.look().number is not None:
            life.end_last(OrderState.COMPLETED, None)
        life.pass_time(minutes)
    spacing = timedelta(minutes=interval)
    for earlier, later in zip(life.made_at, life.made_at[2:], strict=False):
        assert later - earlier >= spacing
