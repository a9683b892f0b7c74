"""The lanes that read from one account: how orders stand, and what the account holds."""

from collections.abc import Callable
from decimal import Decimal

import structlog

from gateway.breaker import Breaker
from gateway.catalogue.balances import note_silence, read_balance, take_balance_read
from gateway.catalogue.spending import OverBudget
from gateway.metrics import READS_BREAKER_STATE
from gateway.orders.tracking import BATCH, Tracker
from gateway.store.connection import Pool
from gateway.workers.loop import Loop
from providers.base import Provider
from providers.errors import ProviderError
from schemas.config import Budget, TrackingSettings
from schemas.money import UNIT
from schemas.providers import ProviderRecord

log = structlog.get_logger()

#: A read without an answer pauses reading for so many seconds at most; sending is not concerned.
_LONGEST_PAUSE = 30.0
#: An account that did not say what it holds is asked again in this part of the usual time.
_SOONER = 5


class TrackingLane:
    """Follows one account's orders, within its budget."""

    def __init__(
        self,
        tracker: Tracker,
        adapter: Provider,
        record: ProviderRecord,
        settings: TrackingSettings,
        clock: Callable[[], float],
    ) -> None:
        self.record = record
        self.breaker = Breaker(1, _LONGEST_PAUSE, clock)
        self._tracker = tracker
        self._adapter = adapter
        self._idle = settings.idle_ms / 1000
        # Small at first: a panel that knows no lists answers each order in a request of its own.
        self._batch = 1
        self.loop = Loop(f"tracking:{record.name}", self._work)

    async def stop(self) -> None:
        """Stop asking; an answer that is late is given up, because reads can be repeated."""
        await self.loop.stop()

    async def _work(self) -> float:
        READS_BREAKER_STATE.labels(self.record.name).set(self.breaker.state)
        if wait := self.breaker.wait():
            return wait
        try:
            polled = await self._tracker.poll(self._adapter, self.record, self._batch)
        except OverBudget as over:
            return over.seconds
        if not polled.asked:
            return self._idle
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
        budget: Budget,
        settings: TrackingSettings,
    ) -> None:
        self.record = record
        self._pool = pool
        self._adapter = adapter
        self._low_at = budget.low_balance
        self._interval_ms = settings.balance_ms
        self._idle = settings.idle_ms / 1000
        self.loop = Loop(f"balance:{record.name}", self._work)

    async def stop(self) -> None:
        """Stop asking."""
        await self.loop.stop()

    async def _work(self) -> float:
        try:
            if wait := await take_balance_read(self._pool, self.record, self._interval_ms):
                return wait
            balance = await read_balance(self._pool, self._adapter, self.record)
        except OverBudget as over:
            return over.seconds
        except ProviderError as error:
            log.warning("balance.failed", provider=self.record.name, reason=str(error))
            again_ms = self._interval_ms // _SOONER
            await note_silence(self._pool, self.record, str(error), again_ms)
            return self._idle
        if balance is None:
            return self._idle
        before = self.record.balance
        # What was known before, whichever process has read it: an alert is given once.
        told = before is not None and self._is_low(Decimal(before) / UNIT)
        if self._is_low(balance.amount) and not told:
            log.error(
                "provider.low_balance",
                provider=self.record.name,
                balance=f"{balance.amount:f}",
                threshold=str(self._low_at),
                hint="top up the account; routing prefers others once an order costs more",
            )
        return self._idle

    def _is_low(self, amount: Decimal) -> bool:
        return self._low_at is not None and amount < self._low_at
