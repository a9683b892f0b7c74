"""The lane that asks one provider account for refills and cancellations, and follows refills."""

from collections.abc import Awaitable, Callable

from gateway.catalogue.spending import OverBudget
from gateway.catalogue.standings import is_set_aside
from gateway.orders.cancellations import Canceller
from gateway.orders.refills import Refiller
from gateway.orders.tracking import BATCH, Polled
from gateway.workers.loop import Loop
from providers.base import Provider
from schemas.aftercare import RefillState
from schemas.config import DispatchSettings
from schemas.providers import ProviderRecord

_MOST_DOUBLINGS = 8
#: When stopping, an answer gets so long to be written down; reads are given up sooner.
_RECORDING_SECONDS = 5.0


class AftercareLane:
    """One account's refills and cancellations, one call at a time, paced together with its reads.

    The three duties take turns, so that none keeps another waiting. While the account is set
    aside, refills wait like orders; cancellations still go, and what was asked for is followed.
    """

    def __init__(
        self,
        refiller: Refiller,
        canceller: Canceller,
        adapter: Provider,
        record: ProviderRecord,
        settings: DispatchSettings,
        clock: Callable[[], float],
    ) -> None:
        self.record = record
        self._refiller = refiller
        self._canceller = canceller
        self._adapter = adapter
        self._idle = settings.idle_ms / 1000
        self._longest_pause = settings.retry_last_ms / 1000
        self._patience = settings.timeout_ms / 1000 + _RECORDING_SECONDS
        self._clock = clock
        self._duties: list[Callable[[], Awaitable[Polled]]] = [
            self._cancel,
            self._refill,
            self._follow,
        ]
        # Small at first: a panel that knows no lists is asked in a request for each order.
        self._cancel_batch = 1
        self._follow_batch = BATCH
        self._silent = 0
        self._refills_paused_until = 0.0
        self._refilling = False
        self.loop = Loop(f"aftercare:{record.name}", self._work)

    async def stop(self) -> None:
        """Ask for nothing more. Only the answer to a refill is worth waiting for."""
        await self.loop.stop(self._patience if self._refilling else _RECORDING_SECONDS)

    async def _work(self) -> float:
        for _ in self._duties:
            duty = self._duties.pop(0)
            self._duties.append(duty)
            try:
                done = await duty()
            except OverBudget as over:
                return over.seconds
            if done.asked:
                return 0 if done.answered else self._idle
        return self._idle

    async def _cancel(self) -> Polled:
        done = await self._canceller.ask(self._adapter, self.record, self._cancel_batch)
        several = done.requests > 1
        self._cancel_batch = 1 if several else _next_batch(self._cancel_batch, done)
        return done

    async def _follow(self) -> Polled:
        done = await self._refiller.follow(self._adapter, self.record, self._follow_batch)
        self._follow_batch = _next_batch(self._follow_batch, done)
        return done

    async def _refill(self) -> Polled:
        if is_set_aside(self.record) or self._clock() < self._refills_paused_until:
            return Polled(0, answered=True)
        self._refilling = True
        try:
            claimed = await self._refiller.claim(self.record)
            if claimed is None:
                return Polled(0, answered=True)
            change = await self._refiller.send(self._adapter, self.record, *claimed)
        finally:
            self._refilling = False
        answered = change.state not in (RefillState.UNKNOWN, RefillState.REQUESTED)
        self._silent = 0 if answered else min(self._silent + 1, _MOST_DOUBLINGS)
        if not answered:
            # What freezes one refill would freeze all that wait behind it.
            pause = min(2.0**self._silent / 4, self._longest_pause)
            self._refills_paused_until = self._clock() + pause
        return Polled(1, answered)


def _next_batch(batch: int, done: Polled) -> int:
    """One order that a panel stumbles over must not hide the others of its batch for ever."""
    if not done.asked:
        return batch
    return min(BATCH, batch * 2) if done.answered else max(1, batch // 2)
