"""Lanes: for every provider account one that sends its orders, one that asks how they stand, and
one for what else resellers ask of them.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeAlias

import structlog

from gateway.metrics import PROVIDER_HELD
from gateway.orders.cancellations import Canceller
from gateway.orders.dispatch import Sender
from gateway.orders.refills import Refiller
from gateway.orders.tracking import BATCH, Tracker
from gateway.pacing import Pace
from gateway.store import providers
from gateway.store.connection import Pool
from gateway.workers.aftercare_lane import AftercareLane
from gateway.workers.loop import Loop
from providers.base import Provider
from providers.errors import Ambiguous, Unavailable
from schemas.config import Budget, DispatchSettings, TrackingSettings
from schemas.orders import ClaimedOrder
from schemas.providers import ProviderRecord

log = structlog.get_logger()

Clock = Callable[[], float]
Adapt = Callable[[ProviderRecord], tuple[Provider, Budget]]

_MOST_DOUBLINGS = 8
#: So many orders in a row without a proper answer are worth an alarm.
_ALARM_AFTER = 3
_ROSTER_SECONDS = 1.0
#: When stopping, an answer gets so long to be written down.
_RECORDING_SECONDS = 5.0


class SendingLane:
    """Sends one account's orders, within its budget."""

    def __init__(
        self,
        sender: Sender,
        adapter: Provider,
        record: ProviderRecord,
        budget: Budget,
        settings: DispatchSettings,
        clock: Clock,
    ) -> None:
        self.record = record
        self._sender = sender
        self._adapter = adapter
        self._budget = budget
        self._idle = settings.idle_ms / 1000
        self._longest_pause = settings.retry_last_ms / 1000
        self._patience = settings.timeout_ms / 1000 + _RECORDING_SECONDS
        self._clock = clock
        self._pace = Pace(budget.adds_per_minute, budget.in_flight, clock)
        self._sending: set[asyncio.Task[None]] = set()
        self._silent = 0
        self._paused_until = 0.0
        self.loop = Loop(f"dispatch:{record.name}", self._work)

    async def stop(self) -> None:
        """Claim nothing more, and wait for the answers that are still out.

        What cannot be recorded by then, because the database is away too, is left to its lease.
        """
        await self.loop.stop()
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=self._patience)
            for task in late:
                task.cancel()

    async def _work(self) -> float:
        limit = self._limit()
        if limit <= 0:
            return max(self._pace.wait(), self._paused_until - self._clock(), 0) or self._idle
        claim = await self._sender.claim(self.record, limit)
        self._pace.spend(len(claim.orders))
        for order in claim.orders:
            task = asyncio.create_task(self._send(order, claim.at))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return self._idle if len(claim.orders) < limit else 0

    def _limit(self) -> int:
        held = self.record.held_until is not None and self.record.held_until > datetime.now(UTC)
        if held or self._clock() < self._paused_until:
            return 0
        in_doubt = self._silent > 0 or self.record.holds > 0
        most = 1 if in_doubt else self._budget.in_flight
        return min(most - len(self._sending), self._pace.available())

    async def _send(self, order: ClaimedOrder, claimed_at: float) -> None:
        outcome = await self._sender.send(self._adapter, self.record, order, claimed_at)
        if isinstance(outcome, Unavailable | Ambiguous):
            self._pause(outcome)
        else:
            self._silent = 0
        self.loop.wake()

    def _pause(self, outcome: Unavailable | Ambiguous) -> None:
        """Wait before the next order: what freezes one order would freeze the whole queue."""
        self._silent = min(self._silent + 1, _MOST_DOUBLINGS)
        asked = outcome.exchange.retry_after if outcome.exchange else None
        pause = min(asked or 2.0**self._silent / 4, self._longest_pause)
        self._paused_until = self._clock() + pause
        if self._silent == _ALARM_AFTER:
            log.error(
                "provider.silent",
                provider=self.record.name,
                reason=str(outcome),
                hint="one order at a time is tried; see `smm-gateway order list --state unknown`",
            )


class TrackingLane:
    """Follows one account's orders, within its budget."""

    def __init__(
        self,
        tracker: Tracker,
        adapter: Provider,
        record: ProviderRecord,
        pace: Pace,
        settings: TrackingSettings,
    ) -> None:
        self.record = record
        self._tracker = tracker
        self._adapter = adapter
        self._idle = settings.idle_ms / 1000
        self._pace = pace
        # Small at first: a panel that knows no lists answers each order in a request of its own.
        self._batch = 1
        self.loop = Loop(f"tracking:{record.name}", self._work)

    async def stop(self) -> None:
        """Stop asking; an answer that is late is given up, because reads can be repeated."""
        await self.loop.stop()

    async def _work(self) -> float:
        if not self._pace.available():
            return self._pace.wait()
        polled = await self._tracker.poll(self._adapter, self.record, self._batch)
        if not polled.asked:
            return self._idle
        self._pace.spend(max(1, polled.requests))
        if not polled.answered:
            # One order that a panel stumbles over must not hide the others of its batch for ever.
            self._batch = max(1, self._batch // 2)
            return self._idle
        full = polled.asked == self._most_at_once()
        if polled.requests > 1:
            self._batch = 1
        elif full:
            self._batch = min(BATCH, self._batch * 2)
        return 0 if full else self._idle

    def _most_at_once(self) -> int:
        return min(self._batch, self._adapter.status_batch)


_AccountLanes: TypeAlias = tuple[SendingLane, TrackingLane, AftercareLane]


class Lanes:
    """The lanes of all accounts; follows the table of providers as it changes."""

    def __init__(
        self,
        pool: Pool,
        adapt: Adapt,
        dispatch: DispatchSettings,
        tracking: TrackingSettings,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._adapt = adapt
        self._dispatch = dispatch
        self._tracking = tracking
        self._clock = clock
        self._sender = Sender(pool, dispatch, clock)
        self._tracker = Tracker(pool, tracking, clock)
        self._refiller = Refiller(pool, dispatch, tracking, clock)
        self._canceller = Canceller(pool, dispatch, clock)
        self._lanes: dict[int, _AccountLanes] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._unusable: dict[int, ProviderRecord] = {}
        self.roster = Loop("roster", self._follow)

    def wake(self, provider_ids: Iterable[int]) -> None:
        """Orders are waiting for these accounts: look now."""
        for provider_id in provider_ids:
            if lanes := self._lanes.get(provider_id):
                lanes[0].loop.wake()

    def wake_aftercare(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations are waiting for these accounts: look now.

        Other processes are not told: they find what waits by looking.
        """
        for provider_id in provider_ids:
            if lanes := self._lanes.get(provider_id):
                lanes[2].loop.wake()

    async def stop(self) -> None:
        """Stop all lanes; what was sent is waited for."""
        await self.roster.stop()
        await asyncio.gather(*self._leaving.values(), *map(_stop, self._lanes.values()))

    async def _follow(self) -> float:
        async with self._pool.acquire() as conn:
            records = await providers.list_providers(conn)
        for record in records:
            PROVIDER_HELD.labels(record.name).set(record.holds > 0)
            self._follow_one(record)
        return _ROSTER_SECONDS

    def _follow_one(self, record: ProviderRecord) -> None:
        lanes = self._lanes.get(record.id)
        if lanes is not None and _same_account(lanes[0].record, record):
            for lane in lanes:
                lane.record = record
        elif lanes is not None:
            # Apart from the roster, because orders that are out are waited for.
            task = asyncio.create_task(_stop(self._lanes.pop(record.id)))
            self._leaving[record.id] = task
            task.add_done_callback(lambda _: self._leaving.pop(record.id, None))
        elif record.id not in self._leaving and not self._refused(record):
            self._make(record)

    def _refused(self, record: ProviderRecord) -> bool:
        refused = self._unusable.get(record.id)
        return refused is not None and _same_account(refused, record)

    def _make(self, record: ProviderRecord) -> None:
        try:
            adapter, budget = self._adapt(record)
        except Exception:
            # Whatever an adapter of somebody else raises concerns this account alone.
            log.exception("provider.unusable", provider=record.name)
            self._unusable[record.id] = record
            return
        sending = SendingLane(self._sender, adapter, record, budget, self._dispatch, self._clock)
        reads = Pace(budget.reads_per_minute, 1, self._clock)
        tracking = TrackingLane(self._tracker, adapter, record, reads, self._tracking)
        aftercare = AftercareLane(
            self._refiller,
            self._canceller,
            adapter,
            record,
            reads,
            self._dispatch,
            self._clock,
        )
        self._lanes[record.id] = (sending, tracking, aftercare)
        for lane in self._lanes[record.id]:
            lane.loop.start()


async def _stop(lanes: _AccountLanes) -> None:
    await asyncio.gather(*(lane.stop() for lane in lanes))


def _same_account(ours: ProviderRecord, theirs: ProviderRecord) -> bool:
    return (ours.kind, ours.url, ours.key, ours.options) == (
        theirs.kind,
        theirs.url,
        theirs.key,
        theirs.options,
    )
