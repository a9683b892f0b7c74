"""Contradicting: an upstream says that it took an attempt which was decided otherwise meanwhile.

By proof, by an operator, or under another id. Nothing is undone by that; but an order that would be
sent once more is kept from it, and a person is told.
"""

import structlog

from gateway.metrics import CONTRADICTIONS
from gateway.orders.lifecycle import move
from gateway.store import attempts, doubts
from gateway.store.connection import Connection
from schemas.doubts import TriedAttempt
from schemas.orders import LIVE_ATTEMPTS, AttemptState, Order, OrderChange, OrderState, Placement
from schemas.providers import ProviderRecord

log = structlog.get_logger()

#: Orders that somebody may send again, on the word that the upstream does not have them.
_SENT_AGAIN = frozenset({OrderState.QUEUED, OrderState.UNKNOWN})


async def contradict(
    conn: Connection, provider: ProviderRecord, order: Order, number: int, upstream_id: str
) -> list[OrderChange]:
    """Claim the upstream order for ours, and keep ours, which is locked, from being sent again.

    Nothing is done when the attempt has this id already: its record was repeated. The attempt is
    live again unless another one is, so that what a person resolves is this one.
    """
    tried = {
        attempt.number: attempt for attempt in await doubts.list_tried_attempts(conn, order.id)
    }
    attempt = tried.get(number)
    if _is_known(attempt, provider, upstream_id):
        return []
    placement = Placement(provider.id, upstream_id, order.id)
    ours = await attempts.insert_placements(conn, [placement])
    free = not any(one.state in LIVE_ATTEMPTS for one in tried.values())
    if (
        ours
        and free
        and attempt is not None
        and attempt.provider_id == provider.id
        and order.state in (OrderState.QUEUED, OrderState.REVIEW)
    ):
        await doubts.set_attempt_decided(
            conn, order.id, number, AttemptState.PLACED, upstream_id, "its answer came late"
        )
    _tell(provider, order, attempt, number, upstream_id)
    if attempt is None or order.state not in _SENT_AGAIN:
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
