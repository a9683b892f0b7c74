"""Random schedules of the whole state machine in one process: everything holds after every step."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.orders import cancelling, failover, lifecycle
from gateway.orders.lifecycle import move
from providers.errors import Ambiguous, Unavailable
from schemas.orders import Order, OrderChange, OrderState
from tests.faults.small_world import Decisions, SmallWorld, Wrong

SCHEDULES, STEPS = 400, 120


def play(decisions: Decisions | None = None, *, seed: int, schedules: int = SCHEDULES) -> None:
    """So many schedules; raises ``Wrong`` with the seed that leads there."""
    for number in range(schedules):
        try:
            SmallWorld(f"{seed}-{number}", decisions).run(STEPS)
        except Wrong as error:
            raise Wrong(f"seed {seed}-{number}: {error}") from None


def test_everything_holds_after_every_step_of_random_schedules() -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    play(seed=seed)


def test_schedules_reach_every_state() -> None:
    seen: set[OrderState] = set()
    for number in range(200):
        world = SmallWorld(f"states-{number}")
        world.run(STEPS)
        seen |= world.seen
    assert seen == set(OrderState) - {OrderState.SCHEDULED}


def _resend(order: Order, outcome: failover.Outcome, *rest: object) -> Sequence[OrderChange]:
    """A lost answer counts as not sent."""
    told = Unavailable(str(outcome)) if isinstance(outcome, Ambiguous) else outcome
    return failover.after_attempt(order, told, *rest)  # type: ignore[arg-type]


def _queue(order: Order) -> OrderChange:
    """The sweeper queues what may have been sent."""
    return move(order, OrderState.QUEUED, "lease_over")


def _give_back(order: Order) -> OrderChange:
    """A timer gives back what may have been sent."""
    return move(order, OrderState.FAILED, "lease_over", refund_target=order.charge)


def _pay_whole(order: Order, *heard: object) -> OrderChange | None:
    """Earlier refunds are forgotten."""
    change = lifecycle.after_status(order, *heard)  # type: ignore[arg-type]
    if change is None or change.state is not OrderState.CANCELED:
        return change
    return replace(change, refund=order.charge)


def _tell_anew(order: Order, *heard: object) -> OrderChange | None:
    """A correction changes what was told."""
    change = lifecycle.after_status(order, *heard)  # type: ignore[arg-type]
    return change and replace(change, wire_charge=order.charge - order.refunded - change.refund)


def _cancel_for_free(order: Order, cause: str) -> OrderChange:
    """A cancellation gives nothing back."""
    return replace(cancelling.canceled(order, cause), refund=0)


@pytest.mark.parametrize(
    ("decisions", "shows"),
    [
        (Decisions(after_attempt=_resend), "queued although the upstream has it"),
        (Decisions(forgotten=_queue), "queued although the upstream has it"),
        (Decisions(forgotten=_give_back), "failed although the upstream has it"),
        (Decisions(after_status=_pay_whole), "refunded above its charge"),
        (Decisions(after_status=_tell_anew), "told otherwise than before"),
        (Decisions(late_sends=True), "queued although the upstream has it"),
        (Decisions(canceled=_cancel_for_free), "not given back whole"),
    ],
)
def test_a_wrong_decision_is_noticed(decisions: Decisions, shows: str) -> None:
    with pytest.raises(Wrong, match=shows):
        play(decisions, seed=1)
