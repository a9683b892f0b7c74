"""Contradicting: an upstream says that it took an attempt which was decided otherwise meanwhile.

By proof, by an operator, or under another id. Nothing is undone by that; but an order that would be
sent once more is kept from it, and a person is told. One that is just being sent cannot be held
back; when that attempt is not taken, the order is the first one's again.
"""

import structlog

from gateway.metrics import CONTRADICTIONS
from gateway.orders.lifecycle import move
from gateway.store import attempts, doubts, facts
from gateway.store.connection import Connection
from schemas.doubts import TriedAttempt
from schemas.orders import LIVE_ATTEMPTS, AttemptState, Order, OrderChange, OrderState, Placement
from schemas.providers import ProviderRecord

log = structlog.get_logger()

#: Orders that somebody may send again, on the word that the upstream does not have them.
_SENT_AGAIN = frozenset({OrderState.QUEUED, OrderState.UNKNOWN})
_LATE = "its answer came late"


async def contradict(
    conn: Connection, provider: ProviderRecord, order: Order, number: int, upstream_id: str
) -> list[OrderChange]:
    """Claim the upstream order for ours, and keep ours, which is locked, from being sent again.

    Nothing is done when the attempt has this id already: its record was repeated. The attempt is
    live again unless another one is, so that what a person resolves is this one. Otherwise it keeps
    the id, for ``taken_before``.
    """
    tried = {
        attempt.number: attempt for attempt in await doubts.list_tried_attempts(conn, order.id)
    }
    attempt = tried.get(number)
    if _is_known(attempt, provider, upstream_id):
        return []
    placement = Placement(provider.id, upstream_id, order.id)
    ours = await attempts.insert_placements(conn, [placement])
    if (
        ours
        and attempt is not None
        and attempt.provider_id == provider.id
        and attempt.state not in LIVE_ATTEMPTS
    ):
        free = not any(one.state in LIVE_ATTEMPTS for one in tried.values())
        again = free and order.state in (OrderState.QUEUED, OrderState.REVIEW)
        state = AttemptState.PLACED if again else attempt.state
        await doubts.set_attempt_decided(conn, order.id, number, state, upstream_id, _LATE)
    await facts.insert_contradiction(conn, order.id, number, provider.id, upstream_id)
    _tell(provider, order, attempt, number, upstream_id)
    if attempt is None or order.state not in _SENT_AGAIN:
        return []
    return [move(order, OrderState.REVIEW, "answer_contradicts", next_in=None)]


async def taken_before(conn: Connection, order: Order) -> list[OrderChange] | None:
    """Into review with an order, when an upstream took one of its attempts before the last one.

    For an order whose last attempt was not taken, or is in doubt, under its lock: it must neither
    be sent again nor paid back. None where nothing was taken; no changes where something was and
    the order is in review already. An attempt that was taken is live again unless the last one
    may be.
    """
    tried = await doubts.list_tried_attempts(conn, order.id)
    taken = [one for one in tried if one.upstream_id and one.state not in LIVE_ATTEMPTS]
    if not taken:
        return None
    if not any(one.state in LIVE_ATTEMPTS for one in tried):
        number, upstream_id = taken[-1].number, taken[-1].upstream_id
        await doubts.set_attempt_decided(
            conn, order.id, number, AttemptState.PLACED, upstream_id, _LATE
        )
    if order.state is OrderState.REVIEW:
        return []
    return [move(order, OrderState.REVIEW, "answer_contradicts", next_in=None)]


def _is_known(attempt: TriedAttempt | None, provider: ProviderRecord, upstream_id: str) -> bool:
    return (
        attempt is not None
        and attempt.state is AttemptState.PLACED
        and (attempt.provider_id, attempt.upstream_id) == (provider.id, upstream_id)
    )


def _tell(
    provider: ProviderRecord,
    order: Order,
    attempt: TriedAttempt | None,
    number: int,
    upstream_id: str,
) -> None:
    CONTRADICTIONS.labels(provider.name).inc()
    log.error(
        "attempt.contradicted",
        order_id=order.id,
        request_id=order.request_id,
        provider=provider.name,
        attempt=number,
        decided=None if attempt is None else attempt.state,
        state=order.state,
        upstream_id=upstream_id,
        hint="the upstream took this attempt, which was decided otherwise: look there for "
        "what runs twice or was paid back",
    )
