"""The worker role: everything that is due without anybody asking."""

import math
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack

from gateway.alerts.channels import open_outlets
from gateway.app.core import Core
from gateway.catalogue.measuring import measure_accounts
from gateway.catalogue.syncing import CatalogueSyncs
from gateway.catalogue.upstreams import adapt, timeouts
from gateway.metrics import OLDEST_ORDER, OPEN_ORDERS, OPEN_REFILLS, SYNC_STANDBYS
from gateway.operators.job_kinds import JobKinds
from gateway.operators.jobs import Jobs
from gateway.orders.cancellations import settle_stored_cancels
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.receipts import forget_repeats
from gateway.orders.reconciliation import measure_doubts
from gateway.orders.refills import freeze_forgotten_refills
from gateway.orders.rerouting import reroute_stuck
from gateway.orders.schedules import Schedules
from gateway.store import orders, refills, roles, versions
from gateway.workers.alerting import BackgroundAlerts
from gateway.workers.auditing import BackgroundAudit
from gateway.workers.lanes import Lanes
from gateway.workers.loop import Loop
from providers.transport import Transport
from schemas.aftercare import OPEN_REFILL_STATES
from schemas.orders import OPEN_STATES

_SWEEP_SECONDS = 1.0
_REROUTE_SECONDS = 2.0
_SCHEDULES_SECONDS = 1.0
_GAUGE_SECONDS = 10.0
_ACCOUNTS_SECONDS = 30.0
_RANGES_SECONDS = 60.0
_FORGET_SECONDS = 60.0
_JOBS_SECONDS = 1.0


class Background:
    """The lanes of all accounts, and the loops over the whole database."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pool = core.pool

    async def start(self, stack: AsyncExitStack) -> None:
        """Start in order; the stack stops in the opposite order."""
        settings, keys = self._core.settings, self._core.keys
        transport = await stack.enter_async_context(Transport(timeouts(settings.dispatch)))
        self._lanes = Lanes(
            self._pool,
            lambda record: adapt(record, transport, keys),
            settings,
            time.monotonic,
            self._core.standings,
            self._core.spool,
        )
        self._schedules = Schedules(
            self._pool, self._core.hints.orders_waiting, self._core.standings
        )
        self._lanes.roster.start()
        stack.push_async_callback(self._lanes.stop)
        syncs = CatalogueSyncs(
            self._pool, settings, lambda record: adapt(record, transport, keys)[0]
        )
        outlets = await stack.enter_async_context(open_outlets(settings.alerts))
        alerts = BackgroundAlerts(self._pool, settings, outlets)
        books = BackgroundAudit(self._pool, settings.audit.every_ms)
        kinds = JobKinds(self._pool, settings, lambda record: adapt(record, transport, keys)[0])
        self._jobs = Jobs(self._pool, kinds.runners)
        for loop in (
            Loop("sweep", self._sweep),
            Loop("schedules", self._make_runs),
            Loop("gauges", self._measure),
            Loop("accounts", self._measure_accounts),
            Loop("ranges", self._make_ranges),
            Loop("reroute", self._reroute),
            Loop("repeats", self._forget_repeats),
            Loop("syncs", syncs.work),
            Loop("audit", books.work),
            Loop("alerts", alerts.work),
            Loop("jobs", self._work_on_jobs),
        ):
            loop.start()
            stack.push_async_callback(loop.stop)

    def wake(self, provider_ids: Iterable[int]) -> None:
        """Orders are waiting for these accounts: look now."""
        self._lanes.wake(provider_ids)

    def wake_aftercare(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations are waiting for these accounts: look now."""
        self._lanes.wake_aftercare(provider_ids)

    async def _sweep(self) -> float:
        swept = await freeze_forgotten(self._pool)
        swept += await freeze_forgotten_refills(self._pool)
        swept += await settle_stored_cancels(self._pool)
        return 0 if swept else _SWEEP_SECONDS

    async def _make_runs(self) -> float:
        return 0 if await self._schedules.advance() else _SCHEDULES_SECONDS

    async def _work_on_jobs(self) -> float:
        return 0 if await self._jobs.work() else _JOBS_SECONDS

    async def _reroute(self) -> float:
        if reached := await reroute_stuck(self._pool, self._core.standings):
            self._core.hints.orders_waiting(reached)
        return _REROUTE_SECONDS

    async def _measure(self) -> float:
        async with self._pool.acquire() as conn:
            counted = await orders.count_open_orders(conn)
            open_refills = await refills.count_open_refills(conn)
            standbys = await roles.get_sync_standbys(conn)
        for state in OPEN_STATES:
            number, age = counted.get(state, (0, 0.0))
            OPEN_ORDERS.labels(state).set(number)
            OLDEST_ORDER.labels(state).set(age)
        for refill_state in OPEN_REFILL_STATES:
            OPEN_REFILLS.labels(refill_state).set(open_refills.get(refill_state, 0))
        SYNC_STANDBYS.set(math.nan if standbys is None else standbys)
        await measure_doubts(self._pool)
        return _GAUGE_SECONDS

    async def _measure_accounts(self) -> float:
        await measure_accounts(self._pool)
        return _ACCOUNTS_SECONDS

    async def _make_ranges(self) -> float:
        async with self._pool.acquire() as conn:
            await versions.make_order_ranges(conn)
        return _RANGES_SECONDS

    async def _forget_repeats(self) -> float:
        await forget_repeats(self._pool)
        await self._jobs.forget()
        return _FORGET_SECONDS
