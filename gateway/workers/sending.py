"""The lane that sends one account's orders, within its budget."""

import asyncio
from collections.abc import Callable

import structlog

from gateway.breaker import Breaker
from gateway.catalogue.spending import most_in_flight
from gateway.catalogue.standings import is_set_aside
from gateway.metrics import BREAKER_STATE
from gateway.orders.dispatch import Sender
from gateway.orders.failover import Outcome, Withheld
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
#: After a look at an empty queue.
_QUIET_SECONDS = 0.02
#: So many orders are claimed at once. Those that leave together come back together: as one large
#: crowd they would all wait for the processor, and then leave it idle until the upstream answers.
_AT_ONCE = 16
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
        self._clock = clock
        self._quiet_until = 0.0
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
            return self.breaker.wait() or self._idle
        if (quiet := self._quiet_until - self._clock()) > 0:
            return quiet
        claim = await self._sender.claim(self.record, min(limit, _AT_ONCE))
        for order in claim.orders:
            task = asyncio.create_task(self._send(order, claim.at))
            self._sending.add(task)
            task.add_done_callback(self._ended)
        if claim.again == 0:
            return 0
        # Wake-ups come from every process: one that found nothing to take does not look at once.
        self._quiet_until = self._clock() + (claim.again or _QUIET_SECONDS)
        return claim.again or self._idle

    def _limit(self) -> int:
        if is_set_aside(self.record):
            return 0
        return self.breaker.most(most_in_flight(self.record)) - len(self._sending)

    async def _send(self, order: ClaimedOrder, claimed_at: float) -> None:
        self._judge(await self._sender.send(self._adapter, self.record, order, claimed_at))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """One is out of the way. Woken any sooner, the loop would still find it there."""
        self._sending.discard(task)
        self._quiet_until = 0.0
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
