"""Tracking: asks upstreams how orders stand and applies what they say."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from gateway.catalogue.spending import spend_further_reads, spend_read
from gateway.metrics import POLLS, upstream_call
from gateway.orders.lifecycle import Polling, after_status
from gateway.orders.settling import settle
from gateway.orders.subscriptions import Subscriptions, is_subscription
from gateway.store import orders
from gateway.store.connection import Pool, transaction
from providers.base import Provider
from providers.errors import ProviderError
from providers.transport import metered
from schemas.config import TrackingSettings
from schemas.orders import Order, OrderChange, PolledOrder
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamStatus

log = structlog.get_logger()

#: As many ids as panels take in one call.
BATCH = 100
#: Nobody else asks for the same orders while a call may still be answered.
POLL_LEASE_MS = 60_000

_NO_NEWS = UpstreamStatus(word=None)
_LONGEST_WORD = 64
_MOST_WORDS = 1_000


class Polled(NamedTuple):
    """How many orders were asked for, whether the panel answered, and in how many requests.

    ``retry_after`` is in seconds, where the panel named a pause.
    """

    asked: int
    answered: bool
    requests: int = 0
    retry_after: int | None = None


class Tracker:
    """Follows the orders of one provider account."""

    def __init__(self, pool: Pool, settings: TrackingSettings, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._polling = Polling(
            settings.first_ms, settings.last_ms, settings.correction_ms, settings.watch_ms
        )
        self._subscriptions = Subscriptions(pool, self._polling)
        self._strange_words: set[tuple[int, str]] = set()

    async def poll(self, adapter: Provider, provider: ProviderRecord, limit: int = BATCH) -> Polled:
        """Ask for the orders that are due, up to ``limit`` and as many as the panel takes at once.

        A read that fails changes nothing: the orders are asked for again when their lease ends.

        Raises:
            OverBudget: when orders are due, and the account may not be asked now.
        """
        due = await self._claim(provider, min(limit, adapter.status_batch))
        if not due:
            return Polled(0, answered=True)
        with metered() as meter:
            try:
                heard = await self._ask(adapter, provider, due)
            except ProviderError as error:
                await spend_further_reads(self._pool, provider, meter.requests)
                pause = error.exchange.retry_after if error.exchange else None
                return Polled(len(due), False, meter.requests, pause)
        await spend_further_reads(self._pool, provider, meter.requests)
        for status in heard.values():
            self._note_word(provider, status)
        await self._apply(due, heard)
        return Polled(len(due), answered=True, requests=meter.requests)

    async def _ask(
        self, adapter: Provider, provider: ProviderRecord, due: Sequence[PolledOrder]
    ) -> dict[str, UpstreamStatus]:
        """What the panel says of these orders. Raises ``ProviderError`` when it does not answer."""
        POLLS.labels(provider.name, "failed")  # alerts ask how much it grew
        try:
            with upstream_call(provider.name, "status", self._clock):
                heard = await adapter.status([order.upstream_id for order in due])
        except ProviderError as error:
            POLLS.labels(provider.name, "failed").inc()
            log.warning("poll.failed", provider=provider.name, reason=str(error), orders=len(due))
            raise
        POLLS.labels(provider.name, "answered").inc()
        return heard

    async def _apply(
        self, asked: Sequence[PolledOrder], heard: dict[str, UpstreamStatus]
    ) -> list[OrderChange]:
        upstream_ids = {order.id: order.upstream_id for order in asked}
        now = datetime.now(UTC)
        subscriptions: set[int] = set()

        def decide(order: Order) -> OrderChange | None:
            if is_subscription(order.service_type) and order.parent_id is None:
                subscriptions.add(order.id)
                return None
            # What was not mentioned is no news.
            status = heard.get(upstream_ids[order.id], _NO_NEWS)
            return after_status(order, status, now, self._polling)

        changes = await settle(self._pool, list(upstream_ids), decide)
        for order_id in sorted(subscriptions):
            status = heard.get(upstream_ids[order_id], _NO_NEWS)
            changes += await self._subscriptions.follow(order_id, status, now)
        return changes

    def _note_word(self, provider: ProviderRecord, status: UpstreamStatus) -> None:
        """Say once that a panel uses a word that nobody here knows."""
        said = (provider.id, status.raw_word[:_LONGEST_WORD])
        strange = status.word is None and status.raw_word and said not in self._strange_words
        if strange and len(self._strange_words) < _MOST_WORDS:
            self._strange_words.add(said)
            log.warning("poll.unknown_word", provider=provider.name, word=said[1])

    async def _claim(self, provider: ProviderRecord, limit: int) -> list[PolledOrder]:
        async with self._pool.acquire() as conn, transaction(conn):
            due = await orders.claim_polls(conn, provider.id, limit=limit, lease_ms=POLL_LEASE_MS)
            if len(due) < limit:
                due += await orders.claim_corrections(
                    conn, provider.id, limit=limit - len(due), lease_ms=POLL_LEASE_MS
                )
            if due:
                await spend_read(conn, provider)
        return due
