"""The lane that sends one account's orders, within its budget."""

import asyncio
from collections.abc import Callable

import structlog

from gateway.breaker import Breaker
from gateway.catalogue.standings import is_set_aside
from gateway.metrics import BREAKER_STATE
from gateway.orders.dispatch import Sender
from gateway.orders.failover import Outcome, Withheld
from gateway.pacing import Pace
from gateway.workers.loop import Loop
from providers.base import Provider
from providers.errors import Ambiguous, Unavailable
from schemas.config import Budget, DispatchSettings
from schemas.orders import ClaimedOrder
from schemas.providers import ProviderRecord
from schemas.upstream import Placed

log = structlog.get_logger()

#: So many orders in a row without a proper answer are worth an alarm.
_ALARM_AFTER = 3
#: When stopping, an answer gets so long to be written down.
_RECORDING_SECONDS = 5.0


class SendingLane:
    """Sends one account's orders. One order without a proper answer pauses it: what freezes one
    order would freeze the whole queue.
    """

    def __init__(
        self,
        sender: Sender,
        adapter: Provider,
        record: ProviderRecord,
        budget: Budget,
        settings: DispatchSettings,
        clock: Callable[[], float],
    ) -> None:
        self.record = record
        self.budget = budget
        self.breaker = Breaker(1, settings.retry_last_ms / 1000, clock)
        self._sender = sender
        self._adapter = adapter
        self._idle = settings.idle_ms / 1000
        self._patience = settings.timeout_ms / 1000 + _RECORDING_SECONDS
        self._pace = Pace(budget.adds_per_minute, budget.in_flight, clock)
        self._sending: set[asyncio.Task[None]] = set()
        self.loop = Loop(f"dispatch:{record.name}", self._work)

    async def stop(self) -> None:
        """Claim nothing more, and wait for the answers that are still out.

        What cannot be recorded by then, because the database is away too, is left to its lease.
        """
        # Orders whose claim is cut short are never sent, and only a person gets them going again.
        await self.loop.stop(self._patience)
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=self._patience)
            for task in late:
                task.cancel()

    async def _work(self) -> float:
        BREAKER_STATE.labels(self.record.name).set(self.breaker.state)
        limit = self._limit()
        if limit <= 0:
            return max(self._pace.wait(), self.breaker.wait()) or self._idle
        claim = await self._sender.claim(self.record, limit)
        self._pace.spend(len(claim.orders))
        for order in claim.orders:
            task = asyncio.create_task(self._send(order, claim.at))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return self._idle if len(claim.orders) < limit else 0

    def _limit(self) -> int:
        if is_set_aside(self.record):
            return 0
        # An account that was set aside gets one order to see whether it works again.
        most = self.breaker.most(1 if self.record.holds else self.budget.in_flight)
        return min(most - len(self._sending), self._pace.available())

    async def _send(self, order: ClaimedOrder, claimed_at: float) -> None:
        outcome = await self._sender.send(self._adapter, self.record, order, claimed_at)
        self._judge(outcome)
        BREAKER_STATE.labels(self.record.name).set(self.breaker.state)
        self.loop.wake()

    def _judge(self, outcome: Outcome) -> None:
        if isinstance(outcome, Withheld):
            return
        asked = outcome.exchange.retry_after if outcome.exchange else None
        if not isinstance(outcome, Unavailable | Ambiguous):
            self.breaker.succeeded()
            if asked and not isinstance(outcome, Placed):
                self.breaker.hold_off(asked)
            return
        self.breaker.failed(asked)
        if self.breaker.failures == _ALARM_AFTER:
            log.error(
                "provider.silent",
                provider=self.record.name,
                reason=str(outcome),
                hint="one order at a time is tried; see `smm-gateway order list --state unknown`",
            )
