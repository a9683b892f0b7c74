"""Lanes: the loops of every provider account, as the table of providers changes."""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from gateway.breaker import BreakerState
from gateway.catalogue.routing import Standing
from gateway.catalogue.standings import ProviderTable
from gateway.metrics import PROVIDER_BALANCE, PROVIDER_HELD, PROVIDER_PAUSED
from gateway.orders.cancellations import Canceller
from gateway.orders.dispatch import Sender
from gateway.orders.reconciliation import Reconciler
from gateway.orders.refills import Refiller
from gateway.orders.tracking import Tracker
from gateway.spool import Spool
from gateway.store.connection import Pool
from gateway.workers.aftercare_lane import AftercareLane
from gateway.workers.loop import Loop
from gateway.workers.reading import BalanceLane, TrackingLane
from gateway.workers.reconciling_lane import ReconcilingLane
from gateway.workers.sending import SendingLane
from providers.base import Provider
from providers.registry import is_worked_by_hand
from schemas.config import Budget, SettingsModel
from schemas.money import UNIT
from schemas.providers import ProviderRecord

log = structlog.get_logger()

Clock = Callable[[], float]
Adapt = Callable[[ProviderRecord], tuple[Provider, Budget]]

_ROSTER_SECONDS = 1.0


class AccountLanes(NamedTuple):
    """The lanes of one account; nothing is read from an upstream that is people."""

    sending: SendingLane
    aftercare: AftercareLane
    reconciling: ReconcilingLane
    reading: tuple[TrackingLane | BalanceLane, ...]

    @property
    def all(
        self,
    ) -> tuple[SendingLane | AftercareLane | ReconcilingLane | TrackingLane | BalanceLane, ...]:
        """Every lane."""
        return (self.sending, self.aftercare, self.reconciling, *self.reading)


class Lanes:
    """The lanes of all accounts; follows the table of providers as it changes.

    ``standings`` is kept up to date with what the lanes learn.
    """

    def __init__(
        self,
        pool: Pool,
        adapt: Adapt,
        settings: SettingsModel,
        clock: Clock,
        standings: dict[int, Standing],
        spool: Spool,
    ) -> None:
        dispatch, tracking = settings.dispatch, settings.tracking
        self._pool = pool
        self._adapt = adapt
        self._dispatch = dispatch
        self._tracking = tracking
        self._clock = clock
        self._standings = standings
        self._table = ProviderTable(pool, clock, settings.exchange_rate)
        self._reconciler = Reconciler(pool, settings.reconcile, dispatch, settings.currency)
        self._sender = Sender(pool, dispatch, clock, spool, standings)
        self._tracker = Tracker(pool, tracking, clock)
        self._refiller = Refiller(pool, dispatch, tracking, clock)
        self._canceller = Canceller(pool, dispatch, clock)
        self._lanes: dict[int, AccountLanes] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._unusable: dict[int, ProviderRecord] = {}
        self.roster = Loop("roster", self._follow)

    def wake(self, provider_ids: Iterable[int]) -> None:
        """Orders are waiting for these accounts: look now."""
        for provider_id in provider_ids:
            if lanes := self._lanes.get(provider_id):
                lanes.sending.loop.wake()

    def wake_aftercare(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations are waiting for these accounts: look now."""
        for provider_id in provider_ids:
            if lanes := self._lanes.get(provider_id):
                lanes.aftercare.loop.wake()

    async def stop(self) -> None:
        """Stop all lanes; what was sent is waited for."""
        await self.roster.stop()
        await asyncio.gather(*self._leaving.values(), *map(_stop, self._lanes.values()))

    async def _follow(self) -> float:
        for record in await self._table.read():
            PROVIDER_HELD.labels(record.name).set(record.holds > 0)
            PROVIDER_PAUSED.labels(record.name).set(record.paused_reason is not None)
            if record.balance is not None:
                PROVIDER_BALANCE.labels(record.name).set(record.balance / UNIT)
            self._follow_one(record)
            self._stand(record)
        return _ROSTER_SECONDS

    def _stand(self, record: ProviderRecord) -> None:
        """Note how a provider stands; one whose lanes are just being exchanged stands as before."""
        lanes = self._lanes.get(record.id)
        if lanes is None:
            if record.id in self._unusable:
                self._standings[record.id] = Standing(usable=False, stuck=True)
            return
        breaker = lanes.sending.breaker
        silent = breaker.state is BreakerState.OPEN
        long = breaker.broken_for * 1000 >= self._dispatch.reroute_ms
        self._standings[record.id] = self._table.standing(
            record, lanes.sending.budget.adds_per_minute, silent=silent, stuck=silent and long
        )

    def _follow_one(self, record: ProviderRecord) -> None:
        lanes = self._lanes.get(record.id)
        if lanes is not None and _same_account(lanes.sending.record, record):
            for lane in lanes.all:
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
        aftercare = AftercareLane(
            self._refiller,
            self._canceller,
            adapter,
            record,
            self._dispatch,
            self._clock,
        )
        reconciling = ReconcilingLane(self._reconciler, adapter, record)
        reading: tuple[TrackingLane | BalanceLane, ...] = ()
        if not is_worked_by_hand(record.kind):
            reading = (
                TrackingLane(self._tracker, adapter, record, self._tracking, self._clock),
                BalanceLane(self._pool, adapter, record, budget, self._tracking),
            )
        self._unusable.pop(record.id, None)
        self._lanes[record.id] = AccountLanes(sending, aftercare, reconciling, reading)
        for lane in self._lanes[record.id].all:
            lane.loop.start()


async def _stop(lanes: AccountLanes) -> None:
    await asyncio.gather(*(lane.stop() for lane in lanes.all))


def _same_account(ours: ProviderRecord, theirs: ProviderRecord) -> bool:
    return (ours.kind, ours.url, ours.secrets, ours.options) == (
        theirs.kind,
        theirs.url,
        theirs.secrets,
        theirs.options,
    )
