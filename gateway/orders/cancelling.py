"""Cancelling as decisions: what a request does in each state, and what an answer makes of it.

Only an order that provably runs nowhere is canceled here. For all others the request is stored,
the upstream is asked, and money moves when tracking reads what became of the order.
"""

from enum import StrEnum
from typing import TypeAlias

from gateway.orders.failover import retry_in
from gateway.orders.lifecycle import move
from gateway.orders.refilling import is_passing, later_in
from providers.errors import ProviderError
from providers.refusals import normalised
from schemas import panel_v2 as wire
from schemas.aftercare import CancelChange, CancelState, ClaimedCancel, Terms
from schemas.config import DispatchSettings
from schemas.orders import FINAL_STATES, Order, OrderChange, OrderState
from schemas.panel_v2 import PanelError
from schemas.upstream import UpstreamRequest

#: None is an answer that says nothing of the order.
CancelOutcome: TypeAlias = UpstreamRequest | ProviderError | None

#: So often is an upstream asked that gives no clear answer, before the reseller may ask again.
MOST_TRIES = 20

_REQUESTED_ALREADY = normalised(wire.CANCEL_REQUESTED)


class Step(StrEnum):
    """What a request to cancel does."""

    AT_ONCE = "at_once"  # nothing was sent: canceled with its whole refund
    STORED = "stored"  # the upstream is asked, as soon as the order is known to run there
    STOPPED = "stopped"  # no further runs are made; for those that were sent a request is stored


#: An order in a state that is not here has ended.
STEPS: dict[OrderState, Step] = {
    OrderState.SCHEDULED: Step.STOPPED,
    OrderState.QUEUED: Step.AT_ONCE,
    OrderState.SENDING: Step.STORED,
    OrderState.UNKNOWN: Step.STORED,
    OrderState.REVIEW: Step.STORED,
    OrderState.PLACED: Step.STORED,
    OrderState.IN_PROGRESS: Step.STORED,
}


def step_of(order: Order, terms: Terms, *, by_operator: bool) -> Step:
    """What a request to cancel does to an order. Services offer it to resellers, or do not.

    To make no further runs is for us alone to do, and always offered.

    Raises:
        PanelError: with the text that the reseller gets.
    """
    step = STEPS.get(order.state)
    if step is None or not (terms.cancel or by_operator or step is Step.STOPPED):
        raise PanelError(wire.CANCEL_UNAVAILABLE)
    open_request = terms.cancel_state in (CancelState.REQUESTED, CancelState.TAKEN)
    if open_request and step is not Step.AT_ONCE:
        raise PanelError(wire.CANCEL_REQUESTED)
    return step


def canceled(order: Order, cause: str) -> OrderChange:
    """The end of an order that was not sent: all is given back.

    Raises:
        IllegalMove: when it may have been sent.
    """
    return move(order, OrderState.CANCELED, cause, refund_target=order.charge, next_in=None)


def after_wait(order: Order) -> CancelState | None:
    """What becomes of a stored request without asking anybody; None while it still waits."""
    if STEPS.get(order.state) is Step.AT_ONCE:
        return CancelState.TAKEN  # it was not taken upstream after all
    return CancelState.OVER if order.state in FINAL_STATES else None


def after_cancel_call(
    claim: ClaimedCancel, outcome: CancelOutcome, settings: DispatchSettings
) -> CancelChange:
    """What the outcome of a call makes of a request.

    Asking twice does no harm, so whatever is not clear is asked again, a limited number of times.
    """
    match outcome:
        case UpstreamRequest(taken=True):
            return CancelChange(claim.order_id, claim.tries, CancelState.TAKEN)
        case UpstreamRequest(error=text) if normalised(text or "") == _REQUESTED_ALREADY:
            return CancelChange(claim.order_id, claim.tries, CancelState.TAKEN)
        case UpstreamRequest(error=text) if not is_passing(text or ""):
            return CancelChange(claim.order_id, claim.tries, CancelState.REFUSED, text)
        case UpstreamRequest(error=text):
            return _asked_again(claim, text or "", retry_in(settings, claim.tries))
        case ProviderError():
            return _asked_again(claim, str(outcome), later_in(outcome, claim.tries, settings))
        case _:
            said = "an answer that does not speak of the order"
            return _asked_again(claim, said, retry_in(settings, claim.tries))


def _asked_again(claim: ClaimedCancel, reason: str, next_in: int) -> CancelChange:
    if claim.tries >= MOST_TRIES:
        return CancelChange(claim.order_id, claim.tries, CancelState.REFUSED, reason)
    return CancelChange(claim.order_id, claim.tries, CancelState.REQUESTED, reason, next_in)
