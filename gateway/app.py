"""The composition root: the only place that builds the shared objects and wires them together."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import REGISTRY

from gateway.catalogue.routing import Standing
from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.syncing import CatalogueSyncs
from gateway.catalogue.upstreams import adapt, timeouts
from gateway.config import Settings
from gateway.errors import UserError
from gateway.metrics import OLDEST_ORDER, OPEN_ORDERS, OPEN_REFILLS, RequestCounts
from gateway.orders.cancellations import settle_stored_cancels
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.intake import Intake
from gateway.orders.receipts import Receipts, forget_repeats, write_receipts
from gateway.orders.refills import freeze_forgotten_refills
from gateway.orders.rerouting import reroute_stuck
from gateway.orders.schedules import Schedules
from gateway.orders.telling import Teller
from gateway.resellers.keys import KeyRing
from gateway.store import orders, refills, versions
from gateway.store.connection import Pool, open_pool
from gateway.store.migrate import MigrationError, migrate, pending_migrations
from gateway.wakeups import Wakeups
from gateway.web.admission import Admission
from gateway.web.aftercare import AftercareApi
from gateway.web.internal import internal_app
from gateway.web.limits import RateLimits, WrongKeys
from gateway.web.panel_api import PanelApi, public_app
from gateway.workers.lanes import Lanes
from gateway.workers.loop import Loop
from providers.transport import Transport
from schemas.aftercare import OPEN_REFILL_STATES
from schemas.config import HttpSettings, InternalSettings
from schemas.orders import OPEN_STATES

log = structlog.get_logger()

_CATALOGUE_SECONDS = 1.0
_SWEEP_SECONDS = 1.0
_REROUTE_SECONDS = 2.0
_SCHEDULES_SECONDS = 1.0
_GAUGE_SECONDS = 10.0
_RANGES_SECONDS = 60.0
_RECEIPT_SECONDS = 0.25
_FORGET_SECONDS = 60.0
_KEEP_ALIVE_SECONDS = 75.0


async def connect(settings: Settings, url: str) -> Pool:
    """The pool of a database that answers; whether it is migrated is not looked at.

    Raises:
        UserError: when its URL cannot be read, or the database cannot be reached.
    """
    try:
        return await open_pool(url, size=settings.database.pool_size)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UserError(
            f"the database cannot be reached ({type(error).__name__}: {error}): "
            "check database.url, or start the embedded engines with `smm-gateway serve`"
        ) from None
    except (ValueError, OverflowError):
        # The reason may quote a password that was taken for a port.
        raise UserError(
            "database.url cannot be read: write postgresql://user:password@host:port/name, with "
            "special characters of the password as %XX"
        ) from None


async def migrate_database(settings: Settings, url: str) -> list[str]:
    """Apply the migrations that a database lacks; returns their names.

    Raises:
        UserError: when it cannot be reached, or does not fit this version.
    """
    pool = await connect(settings, url)
    try:
        async with pool.acquire() as conn:
            return await migrate(conn)
    except MigrationError as error:
        raise UserError(str(error)) from None
    finally:
        await pool.close()


def require_pepper(settings: Settings) -> bytes:
    """What API keys are hashed with.

    Raises:
        UserError: when it is not set.
    """
    if settings.security.pepper is None:
        raise UserError(
            "no pepper: set SMM_SECURITY__PEPPER to a secret of 32 characters or more, and "
            "keep it, because every API key is hashed with it"
        )
    return settings.security.pepper.get_secret_value().encode()


async def require_migrated(pool: Pool) -> None:
    """Raise UserError unless the database has every migration of this version."""
    async with pool.acquire() as conn:
        if missing := await pending_migrations(conn):
            raise UserError(f"the database lacks migration {missing[0]}: run `smm-gateway migrate`")


class Gateway:
    """One gateway process: both listeners and all background work, on one pool."""

    def __init__(self, settings: Settings, database_url: str, redis_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._pepper = require_pepper(settings)
        self._catalogue = Catalogue()
        self._standings: dict[int, Standing] = {}
        self._receipts = Receipts()
        self._loops = (
            Loop("catalogue", self._refresh_catalogue),
            Loop("sweep", self._sweep),
            Loop("schedules", self._make_runs),
            Loop("gauges", self._measure),
            Loop("ranges", self._make_ranges),
            Loop("reroute", self._reroute),
            Loop("receipts", self._write_receipts),
            Loop("repeats", self._forget_repeats),
        )
        self._counts = RequestCounts()
        self._ready = False
        self.api_url = ""
        self.internal_url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        self._ready = True
        log.info("gateway.started", api=self.api_url, internal=self.internal_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ready = False
        await self._stack.aclose()
        log.info("gateway.stopped")

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start everything in order; the stack stops it in the opposite order."""
        self._pool = await connect(self._settings, self._database_url)
        stack.push_async_callback(self._pool.close)
        await require_migrated(self._pool)
        self._transport = await stack.enter_async_context(
            Transport(timeouts(self._settings.dispatch))
        )
        await self._refresh_catalogue()
        self._lanes = Lanes(
            self._pool,
            lambda record: adapt(record, self._transport),
            self._settings.dispatch,
            self._settings.tracking,
            time.monotonic,
            self._standings,
            self._settings.exchange_rate,
        )
        self._schedules = Schedules(self._pool, self._orders_waiting, self._standings)
        self._wakeups = self._open_wakeups()
        self._wakeups.start()
        stack.push_async_callback(self._wakeups.stop)
        self._lanes.roster.start()
        stack.push_async_callback(self._lanes.stop)
        syncs = CatalogueSyncs(
            self._pool, self._settings, lambda record: adapt(record, self._transport)[0]
        )
        for loop in (*self._loops, Loop("syncs", syncs.work)):
            loop.start()
            stack.push_async_callback(loop.stop)
        self._intake = Intake(
            self._pool,
            self._catalogue,
            self._orders_waiting,
            self._receipts,
            largest=self._settings.intake.group_size,
            standings=self._standings,
        )
        stack.push_async_callback(write_receipts, self._pool, self._receipts)
        stack.push_async_callback(self._intake.finish)
        await self._listen(stack)

    def _open_wakeups(self) -> Wakeups:
        try:
            return Wakeups(self._redis_url, self._lanes.wake)
        except ValueError:
            raise UserError("redis.url cannot be read: write redis://host:port/0") from None

    def _orders_waiting(self, provider_ids: Iterable[int]) -> None:
        self._lanes.wake(provider_ids)
        self._wakeups.send(provider_ids)

    async def _listen(self, stack: AsyncExitStack) -> None:
        REGISTRY.register(self._counts)
        stack.callback(REGISTRY.unregister, self._counts)
        http, limits = self._settings.http, self._settings.limits
        keys = KeyRing(self._pool, self._pepper)
        api = PanelApi(
            admission=Admission(keys, WrongKeys(limits), http.trusted_proxies),
            limits=RateLimits(limits),
            catalogue=self._catalogue,
            intake=self._intake,
            receipts=self._receipts,
            teller=Teller(self._pool),
            aftercare=AftercareApi(self._pool, self._settings.refills, self._lanes.wake_aftercare),
            counts=self._counts,
        )
        internal = self._settings.internal
        port = await self._serve(stack, public_app(api), http, "http.port")
        self.api_url = f"http://{http.host}:{port}/api/v2"
        probes = internal_app(REGISTRY, self._missing)
        port = await self._serve(stack, probes, internal, "internal.port")
        self.internal_url = f"http://{internal.host}:{port}"

    async def _serve(
        self,
        stack: AsyncExitStack,
        app: web.Application,
        listener: HttpSettings | InternalSettings,
        setting: str,
    ) -> int:
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, listener.host, listener.port, backlog=1024).start()
        except OSError as error:
            raise UserError(
                f"cannot listen on {listener.host}:{listener.port} ({error.strerror}): "
                f"choose another {setting}"
            ) from None
        bound: int = runner.addresses[0][1]
        return bound

    async def _missing(self) -> list[str]:
        if not self._ready:
            return ["starting or stopping"]
        try:
            async with asyncio.timeout(2), self._pool.acquire() as conn:
                await versions.get_catalogue_version(conn)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return [f"database: {type(error).__name__}"]
        return []

    async def _refresh_catalogue(self) -> float:
        async with self._pool.acquire() as conn:
            await self._catalogue.refresh(conn)
        return _CATALOGUE_SECONDS

    async def _sweep(self) -> float:
        swept = await freeze_forgotten(self._pool)
        swept += await freeze_forgotten_refills(self._pool)
        swept += await settle_stored_cancels(self._pool)
        return 0 if swept else _SWEEP_SECONDS

    async def _make_runs(self) -> float:
        return 0 if await self._schedules.advance() else _SCHEDULES_SECONDS

    async def _reroute(self) -> float:
        if reached := await reroute_stuck(self._pool, self._standings):
            self._orders_waiting(reached)
        return _REROUTE_SECONDS

    async def _measure(self) -> float:
        async with self._pool.acquire() as conn:
            counted = await orders.count_open_orders(conn)
            open_refills = await refills.count_open_refills(conn)
        for state in OPEN_STATES:
            number, age = counted.get(state, (0, 0.0))
            OPEN_ORDERS.labels(state).set(number)
            OLDEST_ORDER.labels(state).set(age)
        for refill_state in OPEN_REFILL_STATES:
            OPEN_REFILLS.labels(refill_state).set(open_refills.get(refill_state, 0))
        return _GAUGE_SECONDS

    async def _make_ranges(self) -> float:
        async with self._pool.acquire() as conn:
            await versions.make_order_ranges(conn)
        return _RANGES_SECONDS

    async def _write_receipts(self) -> float:
        await write_receipts(self._pool, self._receipts)
        return _RECEIPT_SECONDS

    async def _forget_repeats(self) -> float:
        await forget_repeats(self._pool)
        return _FORGET_SECONDS
