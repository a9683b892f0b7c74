"""The lanes that read from one account: how orders stand, and what the account holds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from gateway.breaker import Breaker
from gateway.catalogue.balances import read_balance
from gateway.metrics import READS_BREAKER_STATE
from gateway.orders.tracking import BATCH, Tracker
from gateway.pacing import Pace
from gateway.store.connection import Pool
from gateway.workers.loop import Loop
from providers.base import Provider
from providers.errors import ProviderError
from schemas.config import Budget, TrackingSettings
from schemas.providers import ProviderRecord

log = structlog.get_logger()

#: A read without an answer pauses reading for so many seconds at most; sending is not concerned.
_LONGEST_PAUSE = 30.0


class TrackingLane:
    """Follows one account's orders, within its budget."""

    def __init__(
        self,
        tracker: Tracker,
        adapter: Provider,
        record: ProviderRecord,
        reads: Pace,
        settings: TrackingSettings,
        clock: Callable[[], float],
    ) -> None:
        self.record = record
        self.breaker = Breaker(1, _LONGEST_PAUSE, clock)
        self._tracker = tracker
        self._adapter = adapter
        self._idle = settings.idle_ms / 1000
        self._pace = reads
        # Small at first: a panel that knows no lists answers each order in a request of its own.
        self._batch = 1
        self.loop = Loop(f"tracking:{record.name}", self._work)

    async def stop(self) -> None:
        """Stop asking; an answer that is late is given up, because reads can be repeated."""
        await self.loop.stop()

    async def _work(self) -> float:
        READS_BREAKER_STATE.labels(self.record.name).set(self.breaker.state)
        if wait := max(self._pace.wait(), self.breaker.wait()):
            return wait
        polled = await self._tracker.poll(self._adapter, self.record, self._batch)
        if not polled.asked:
            return self._idle
        self._pace.spend(max(1, polled.requests))
        if not polled.answered:
            self.breaker.failed(polled.retry_after)
            READS_BREAKER_STATE.labels(self.record.name).set(self.breaker.state)
            # One order that a panel stumbles over must not hide the others of its batch for ever.
            self._batch = max(1, self._batch // 2)
            return max(self._idle, self.breaker.wait())
        self.breaker.succeeded()
        full = polled.asked == min(self._batch, self._adapter.status_batch)
        if polled.requests > 1:
            self._batch = 1
        elif full:
            self._batch = min(BATCH, self._batch * 2)
        return 0 if full else self._idle


class BalanceLane:
    """Keeps what one account holds known, and says when it runs low."""

    def __init__(
        self,
        pool: Pool,
        adapter: Provider,
        record: ProviderRecord,
        reads: Pace,
        budget: Budget,
        settings: TrackingSettings,
    ) -> None:
        self.record = record
        self._pool = pool
        self._adapter = adapter
        self._pace = reads
        self._low_at = budget.low_balance
        self._interval = settings.balance_ms / 1000
        self._is_low = False
        self.loop = Loop(f"balance:{record.name}", self._work)

    async def stop(self) -> None:
        """Stop asking."""
        await self.loop.stop()

    async def _work(self) -> float:
        if wait := max(self._pace.wait(), self._due_in()):
            return wait
        self._pace.spend(1)
        try:
            balance = await read_balance(self._pool, self._adapter, self.record)
        except ProviderError as error:
            log.warning("balance.failed", provider=self.record.name, reason=str(error))
            return self._interval
        if balance is None:
            return self._interval
        low = self._low_at is not None and balance.amount < self._low_at
        if low and not self._is_low:
            log.error(
                "provider.low_balance",
                provider=self.record.name,
                balance=f"{balance.amount:f}",
                threshold=str(self._low_at),
                hint="top up the account; routing prefers others once an order costs more",
            )
        self._is_low = low
        return self._interval

    def _due_in(self) -> float:
        """Seconds until the balance that some process has read last is old."""
        read_at = self.record.balance_at
        if read_at is None:
            return 0.0
        age = datetime.now(UTC) - read_at
        return max(0.0, (timedelta(seconds=self._interval) - age).total_seconds())
