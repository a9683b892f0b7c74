"""Refills as decisions: which orders get one, and what an upstream's answers make of it.

No money hangs on a refill. What must not happen is that one is asked for twice, because the
upstream delivers what it takes.
"""

from datetime import datetime, timedelta
from typing import TypeAlias

from gateway.orders.failover import retry_in
from providers.errors import ProviderError, Rejected, Unavailable
from providers.refusals import group_of, is_unknown_action
from schemas import panel_v2 as wire
from schemas.aftercare import ClaimedRefill, PolledRefill, RefillChange, RefillState, Terms
from schemas.config import DispatchSettings, TrackingSettings
from schemas.orders import Order, OrderState
from schemas.upstream import RefillWord, RefusalGroup, UpstreamRefill, UpstreamRequest

#: None is an answer that says nothing of the order.
RefillOutcome: TypeAlias = UpstreamRequest | ProviderError | None

_PASSING = frozenset({RefusalGroup.ACCOUNT, RefusalGroup.TEMPORARY})
_SLOW_DOWN = 429
_STATES = {
    RefillWord.PENDING: RefillState.PLACED,
    RefillWord.IN_PROGRESS: RefillState.IN_PROGRESS,
    RefillWord.COMPLETED: RefillState.COMPLETED,
    RefillWord.REJECTED: RefillState.REJECTED,
    RefillWord.FAILED: RefillState.FAILED,
}


def refusal_of_refill(order: Order, terms: Terms, now: datetime, wait: timedelta) -> str | None:
    """Why an order is not refilled now, in the text that its reseller gets; None when it is."""
    if not terms.refill:
        return wire.REFILL_DISABLED
    if order.state not in (OrderState.COMPLETED, OrderState.PARTIAL) or terms.ended_at is None:
        return wire.NOT_COMPLETED
    if order.upstream_id is None:
        return wire.REFILL_DISABLED  # nobody upstream could be asked
    if terms.refill_days is not None and now - terms.ended_at > timedelta(days=terms.refill_days):
        return wire.REFILL_OVER
    if terms.refill_open:
        return wire.REFILL_OPEN
    if now - max(terms.ended_at, terms.last_refill_at or terms.ended_at) < wait:
        return wire.REFILL_TOO_EARLY
    return None


def is_passing(text: str) -> bool:
    """Whether a refusal concerns the account or the moment, and not the order that was asked for.

    That a panel does not know the action says that it has no such service, for good.
    """
    return group_of(text) in _PASSING and not is_unknown_action(text)


def after_refill_call(
    refill: ClaimedRefill, outcome: RefillOutcome, settings: DispatchSettings
) -> RefillChange:
    """What the outcome of a call makes of its refill.

    The panel's own refusal ends it, in whatever words: a catalogue's flag is no promise, and no
    money is given back on it. What proves nothing is frozen.
    """
    match outcome:
        case UpstreamRequest(taken=True, request_id=str(upstream_id)):
            return RefillChange(refill.id, RefillState.PLACED, upstream_id, next_in=0)
        case UpstreamRequest(taken=True):
            return RefillChange(
                refill.id, RefillState.UNKNOWN, reason="taken without an id to ask for it by"
            )
        case UpstreamRequest(error=text) if not is_passing(text or ""):
            return RefillChange(refill.id, RefillState.REJECTED, reason=text)
        case Rejected(group=RefusalGroup.ORDER | RefusalGroup.SERVICE):
            return RefillChange(refill.id, RefillState.REJECTED, reason=str(outcome))
        case UpstreamRequest(error=text):
            return _later(refill, text, retry_in(settings, refill.tries))
        case Rejected():
            return _later(refill, str(outcome), later_in(outcome, refill.tries, settings))
        case Unavailable() if _not_taken(outcome):
            return _later(refill, str(outcome), later_in(outcome, refill.tries, settings))
        case _:
            said = str(outcome) if outcome else "an answer that does not speak of the order"
            return RefillChange(refill.id, RefillState.UNKNOWN, reason=said)


def later_in(error: ProviderError, tries: int, settings: DispatchSettings) -> int:
    """Milliseconds until a call is tried again: ever longer, and not before the panel says."""
    asked = error.exchange.retry_after if error.exchange else None
    return max(retry_in(settings, tries), (asked or 0) * 1000)


def _later(refill: ClaimedRefill, reason: str | None, next_in: int) -> RefillChange:
    return RefillChange(refill.id, RefillState.REQUESTED, reason=reason, next_in=next_in)


def _not_taken(error: Unavailable) -> bool:
    """Whether a call was provably not carried out. An act may be, although its answer is lost."""
    exchange = error.exchange
    return exchange is not None and (not exchange.sent or exchange.status == _SLOW_DOWN)


def after_refill_status(
    refill: PolledRefill, heard: UpstreamRefill | None, now: datetime, settings: TrackingSettings
) -> RefillChange:
    """What an upstream's report makes of a refill; an unknown word or an error is no news."""
    state = _STATES[heard.word] if heard is not None and heard.word else refill.state
    if state is RefillState.PLACED:
        state = refill.state  # words do not run backwards
    ended = state not in (RefillState.PLACED, RefillState.IN_PROGRESS)
    tenth = int((now - refill.requested_at) / timedelta(milliseconds=10))
    next_in = max(settings.first_ms, min(tenth, settings.last_ms))
    return RefillChange(
        refill.id,
        state,
        reason=heard.error if heard is not None else None,
        next_in=None if ended else next_in,
    )
