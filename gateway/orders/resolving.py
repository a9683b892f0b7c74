"""Resolving as decisions: what an operator's word makes of an order in doubt or in review. Pure.

Every way into review has a way out here: an attempt that may have been accepted, an id that two
orders were given, an upstream that fails, forgets or says the impossible, a subscription whose
posts do not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.errors import UserError
from gateway.orders.lifecycle import is_package, move, refund_target
from gateway.orders.parts import concluded, delivered, unused
from providers.reading import read_order_id
from schemas.doubts import Decision, TriedAttempt
from schemas.orders import (
    LIVE_ATTEMPTS,
    AttemptState,
    Order,
    OrderChange,
    OrderState,
    PlannedRoute,
)
from schemas.schedules import Run, Schedule

IN_DOUBT = frozenset({OrderState.UNKNOWN, OrderState.REVIEW})


@dataclass(frozen=True, slots=True)
class Word:
    """An operator's word. ``upstream_id`` is for ``placed``, ``remains`` for ``partial``.

    ``attempt`` is the number of the order's last attempt when the operator looked; None where
    that is not known.
    """

    decision: Decision
    reason: str
    upstream_id: str | None = None
    remains: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """An order in doubt or in review, read under its lock, with all that decides about it.

    ``plan`` and ``runs`` are those of an order in parts.
    """

    order: Order
    attempts: Sequence[TriedAttempt]
    plan: Schedule | None = None
    runs: Sequence[Run] = ()

    @property
    def attempt(self) -> TriedAttempt:
        """The attempt that the order's fate hangs on: the live one, else the last not refused."""
        kept = [a for a in self.attempts if a.state is not AttemptState.REJECTED]
        live = [a for a in kept if a.state in LIVE_ATTEMPTS]
        return (live or kept or list(self.attempts))[-1]

    def named(self, upstream_id: str) -> TriedAttempt:
        """The attempt that an upstream's id is about: the one that was given it, else ``attempt``.

        The same number at two upstreams is two orders.
        """
        known = [a for a in self.attempts if a.upstream_id == upstream_id]
        return known[-1] if known and self.attempt not in known else self.attempt


class Fate(NamedTuple):
    """What becomes of an attempt, and what its upstream calls it."""

    number: int
    state: AttemptState
    upstream_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operator's word does: moves of the order and of its attempts, in their sequence."""

    changes: Sequence[OrderChange]
    attempts: Sequence[Fate] = ()


def resolve(case: Case, word: Word, *, correction_ms: int) -> Outcome:
    """What an operator's word makes of an order.

    Raises:
        UserError: when that cannot be; the message says what can.
    """
    order = case.order
    if word.attempt not in (None, order.attempts):
        raise UserError(
            f"order {order.id} is at attempt {order.attempts}, not {word.attempt}: it was sent "
            "again since: look again"
        )
    match word.decision:
        case Decision.PLACED:
            if word.upstream_id is None or read_order_id(word.upstream_id) != word.upstream_id:
                raise UserError(f"{word.upstream_id!r} is not an upstream's order id")
            return Outcome([_placed(case, word.upstream_id)], _taken(case, word.upstream_id))
        case Decision.NOT_PLACED:
            return Outcome([_queued(case)], _ended(case, AttemptState.NOT_SENT))
        case Decision.CANCELED:
            last = [*_reviewed(order), _canceled(case)]
            return Outcome(last, _ended(case, AttemptState.ABANDONED, keep_known=True))
        case Decision.COMPLETED | Decision.PARTIAL:
            return Outcome([_delivered(case, word, correction_ms)])


def _reviewed(order: Order) -> list[OrderChange]:
    """Nothing leads from a doubt to money: a person takes it over first."""
    if order.state is OrderState.REVIEW:
        return []
    return [move(order, OrderState.REVIEW, "taken_over", next_in=None)]


def _ended(case: Case, state: AttemptState, *, keep_known: bool = False) -> list[Fate]:
    """What becomes of a live attempt; nothing where there is none, or it stays known as it was."""
    attempt = case.attempt
    if attempt.state not in LIVE_ATTEMPTS or (keep_known and case.order.upstream_id is not None):
        return []
    return [Fate(attempt.number, state)]


def _taken(case: Case, upstream_id: str) -> list[Fate]:
    """The named attempt is the order's now. Another live one is given up first: one lives at most,
    and what it may have made upstream is at our cost.
    """
    live, named = case.attempt, case.named(upstream_id)
    fates = [Fate(named.number, AttemptState.PLACED, upstream_id)]
    if live.number == named.number or live.state not in LIVE_ATTEMPTS:
        return fates
    known = live.upstream_id if live.ours else None
    return [Fate(live.number, AttemptState.ABANDONED, known), *fates]


def _placed(case: Case, upstream_id: str) -> OrderChange:
    order, attempt = case.order, case.named(upstream_id)
    change = move(order, OrderState.PLACED, "operator_placed", upstream_id=upstream_id)
    here = (attempt.provider_id, attempt.upstream_service)
    if here == (order.provider_id, order.upstream_service):
        return change
    # The attempt that is the order now was made elsewhere than the last one.
    return replace(change, route=PlannedRoute(*here, order.cost or 0, below_cost=False))


def _queued(case: Case) -> OrderChange:
    if case.runs:
        raise UserError(
            f"order {case.order.id} has posts that its upstream made, so it was placed: use "
            "--placed with its id, or --cancel"
        )
    _require_none_taken(case)
    change = move(case.order, OrderState.QUEUED, "operator_not_placed")
    return replace(change, upstream_id=None, start_count=None, remains=None)


def _require_none_taken(case: Case) -> None:
    """An id that the order is not followed under says that an attempt decided otherwise runs."""
    order = case.order
    followed = (order.provider_id, order.upstream_id)
    for attempt in case.attempts:
        known = attempt.upstream_id is not None and attempt.ours
        if known and (attempt.provider_id, attempt.upstream_id) != followed:
            raise UserError(
                f"attempt {attempt.number} was taken as {attempt.upstream_id}: use --placed "
                f"{attempt.upstream_id}, or --cancel"
            )


def _canceled(case: Case) -> OrderChange:
    order = case.order
    reviewed = order
    if order.state is not OrderState.REVIEW:
        reviewed = replace(order, state=OrderState.REVIEW, version=order.version + 1)
    if case.plan is None or not case.runs:
        target = order.charge
        return move(
            reviewed, OrderState.CANCELED, "operator_canceled", refund_target=target, next_in=None
        )
    _require_ended_parts(case)
    owed = unused(order, len(case.runs), case.plan.runs)
    return concluded(reviewed, case.runs, delivered(case.runs), owed, "operator_canceled")


def _require_ended_parts(case: Case) -> None:
    running = [run.order_id for run in case.runs if run.open]
    if running:
        raise UserError(
            f"order {case.order.id} has posts that still run (order {running[0]}): wait for their "
            "ends, or cancel them with `smm-gateway order cancel`"
        )


def _delivered(case: Case, word: Word, correction_ms: int) -> OrderChange:
    order = case.order
    if order.state is not OrderState.REVIEW or order.upstream_id is None:
        raise UserError(
            f"order {order.id} is not known upstream: first say where it is with --placed ID"
        )
    if case.plan is not None:
        raise UserError(f"order {order.id} is delivered in parts: use --placed or --cancel")
    if word.decision is Decision.COMPLETED:
        return move(
            order, OrderState.COMPLETED, "operator_completed", remains=0, next_in=correction_ms
        )
    target = refund_target(order, OrderState.PARTIAL, word.remains)
    if target is None:
        allowed = "a package is delivered or canceled as a whole"
        if not is_package(order):
            allowed = f"--partial takes what is not delivered, 1 to {order.quantity}"
        raise UserError(f"order {order.id} cannot be partial like that: {allowed}")
    return move(
        order,
        OrderState.PARTIAL,
        "operator_partial",
        refund_target=target,
        remains=word.remains,
        next_in=correction_ms,
    )
