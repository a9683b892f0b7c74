"""The composition root: the only place that builds the shared objects and wires them together."""

import asyncio
import time
from types import TracebackType
from typing import Self

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import REGISTRY

from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.upstreams import adapt, timeouts
from gateway.config import Settings
from gateway.errors import UserError
from gateway.metrics import OLDEST_ORDER, OPEN_ORDERS, RequestCounts
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.intake import Intake
from gateway.orders.telling import Teller
from gateway.resellers.keys import KeyRing
from gateway.store import orders, versions
from gateway.store.connection import Pool, open_pool
from gateway.store.migrate import pending_migrations
from gateway.wakeups import Topic, Wakeups
from gateway.web.internal import internal_app
from gateway.web.panel_api import PanelApi, public_app
from gateway.workers.lanes import Lanes
from gateway.workers.loop import Loop
from providers.transport import Transport
from schemas.orders import OPEN_STATES

log = structlog.get_logger()

_CATALOGUE_SECONDS = 1.0
_SWEEP_SECONDS = 1.0
_GAUGE_SECONDS = 10.0
_RANGES_SECONDS = 3600.0
_KEEP_ALIVE_SECONDS = 75.0


async def connect(settings: Settings, url: str) -> Pool:
    """The pool of a database that can be reached and is migrated.

    Raises:
        UserError: when it cannot be reached, or lacks migrations.
    """
    try:
        pool = await open_pool(url, size=settings.database.pool_size)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UserError(
            f"the database cannot be reached ({type(error).__name__}: {error}): "
            "check database.url, or start the embedded engines with `smm-gateway serve`"
        ) from None
    return pool


async def require_migrated(pool: Pool) -> None:
    """Raise UserError unless the database has every migration of this version."""
    async with pool.acquire() as conn:
        if missing := await pending_migrations(conn):
            raise UserError(f"the database lacks migration {missing[0]}: run `smm-gateway migrate`")


class Gateway:
    """One gateway process: both listeners and all background work, on one pool."""

    def __init__(self, settings: Settings, database_url: str, redis_url: str) -> None:
        if settings.security.pepper is None:
            raise UserError(
                "no pepper: set SMM_SECURITY__PEPPER to a secret of 32 characters or more, and "
                "keep it, because every API key is hashed with it"
            )
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._pepper = settings.security.pepper.get_secret_value().encode()
        self._runners: list[web.AppRunner] = []
        self._loops: list[Loop] = []
        self._counts = RequestCounts()
        self._ready = False
        self.api_url = ""
        self.internal_url = ""

    async def __aenter__(self) -> Self:
        self._pool = await connect(self._settings, self._database_url)
        await require_migrated(self._pool)
        self._transport = Transport(timeouts(self._settings.dispatch))
        await self._transport.__aenter__()
        self._catalogue = Catalogue()
        await self._refresh_catalogue()
        self._start_workers()
        self._intake = Intake(
            self._pool,
            self._catalogue,
            self._orders_waiting,
            largest=self._settings.intake.group_size,
        )
        await self._listen()
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
        for runner in self._runners:
            await runner.cleanup()
        REGISTRY.unregister(self._counts)
        await self._intake.finish()
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        await self._lanes.stop()
        await self._wakeups.stop()
        await self._transport.__aexit__(None, None, None)
        await self._pool.close()
        log.info("gateway.stopped")

    def _start_workers(self) -> None:
        settings = self._settings
        self._lanes = Lanes(
            self._pool,
            lambda record: adapt(record, self._transport),
            settings.dispatch,
            settings.tracking,
            time.monotonic,
        )
        catalogue = Loop("catalogue", self._refresh_catalogue)
        self._loops = [
            catalogue,
            Loop("sweep", self._sweep),
            Loop("gauges", self._measure),
            Loop("ranges", self._make_ranges),
        ]
        self._wakeups = Wakeups(
            self._redis_url, {Topic.ORDERS: self._lanes.wake, Topic.CATALOGUE: catalogue.wake}
        )
        self._wakeups.start()
        self._lanes.roster.start()
        for loop in self._loops:
            loop.start()

    def _orders_waiting(self) -> None:
        self._lanes.wake()
        self._wakeups.send(Topic.ORDERS)

    async def _listen(self) -> None:
        REGISTRY.register(self._counts)
        api = PanelApi(
            KeyRing(self._pool, self._pepper),
            self._catalogue,
            self._intake,
            Teller(self._pool),
            self._counts,
        )
        http, internal = self._settings.http, self._settings.internal
        port = await self._serve(public_app(api), http.host, http.port, "http.port")
        self.api_url = f"http://{http.host}:{port}/api/v2"
        probes = internal_app(REGISTRY, self._missing)
        port = await self._serve(probes, internal.host, internal.port, "internal.port")
        self.internal_url = f"http://{internal.host}:{port}"

    async def _serve(self, app: web.Application, host: str, port: int, setting: str) -> int:
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            raise UserError(
                f"cannot listen on {host}:{port} ({error.strerror}): choose another {setting}"
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
        return 0 if await freeze_forgotten(self._pool) else _SWEEP_SECONDS

    async def _measure(self) -> float:
        async with self._pool.acquire() as conn:
            counted = await orders.count_open_orders(conn)
        for state in OPEN_STATES:
            number, age = counted.get(state, (0, 0.0))
            OPEN_ORDERS.labels(state).set(number)
            OLDEST_ORDER.labels(state).set(age)
        return _GAUGE_SECONDS

    async def _make_ranges(self) -> float:
        async with self._pool.acquire() as conn:
            await versions.make_order_ranges(conn)
        return _RANGES_SECONDS
