"""Tracking: asks upstreams how orders stand and applies what they say."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from gateway.metrics import POLLS, UPSTREAM_SECONDS
from gateway.orders.lifecycle import Polling, after_status
from gateway.orders.settling import settle
from gateway.store import orders
from gateway.store.connection import Pool, transaction
from providers.base import Provider
from providers.errors import ProviderError
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


class Tracker:
    """Follows the orders of one provider account."""

    def __init__(self, pool: Pool, settings: TrackingSettings, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._polling = Polling(settings.first_ms, settings.last_ms, settings.correction_ms)

    async def poll(self, adapter: Provider, provider: ProviderRecord) -> int:
        """Ask for the orders that are due, up to a hundred; returns how many were asked for.

        A read that fails changes nothing: the orders are asked for again later.
        """
        due = await self._claim(provider)
        if not due:
            return 0
        began = self._clock()
        try:
            heard = await adapter.status([order.upstream_id for order in due])
        except ProviderError as error:
            POLLS.labels(provider.name, "failed").inc()
            log.warning("poll.failed", provider=provider.name, reason=str(error), orders=len(due))
            return len(due)
        finally:
            UPSTREAM_SECONDS.labels(provider.name, "status").observe(self._clock() - began)
        POLLS.labels(provider.name, "answered").inc()
        await self.apply(due, heard)
        return len(due)

    async def apply(
        self, asked: Sequence[PolledOrder], heard: dict[str, UpstreamStatus]
    ) -> list[OrderChange]:
        """Apply reports by upstream id; what was not mentioned is no news."""
        upstream_ids = {order.id: order.upstream_id for order in asked}
        now = datetime.now(UTC)

        def decide(order: Order) -> OrderChange | None:
            status = heard.get(upstream_ids[order.id], _NO_NEWS)
            if status.word is None and status.raw_word:
                log.warning(
                    "poll.unknown_word",
                    order_id=order.id,
                    request_id=order.request_id,
                    word=status.raw_word[:64],
                )
            return after_status(order, status, now, self._polling)

        return await settle(self._pool, list(upstream_ids), decide)

    async def _claim(self, provider: ProviderRecord) -> list[PolledOrder]:
        async with self._pool.acquire() as conn, transaction(conn):
            due = await orders.claim_polls(conn, provider.id, limit=BATCH, lease_ms=POLL_LEASE_MS)
            if len(due) < BATCH:
                due += await orders.claim_corrections(
                    conn,
                    provider.id,
                    limit=BATCH - len(due),
                    every_ms=self._settings.correction_ms,
                    watch_ms=self._settings.watch_ms,
                )
        return due
