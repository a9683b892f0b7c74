"""One gateway process: its roles and its internal listener, on one pool of connections."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import REGISTRY

from gateway.app.background import Background
from gateway.app.console import open_console
from gateway.app.core import Core
from gateway.app.front import Front
from gateway.app.listening import listen
from gateway.app.measures import shown
from gateway.config import Settings, data_dir_of, require_master_keys, require_peppers
from gateway.database import UNREACHABLE, connect, require_migrated, warn_of_superuser
from gateway.metrics_page import write_metrics
from gateway.orders.recording import Recorder
from gateway.orders.replaying import Replays
from gateway.resealing import require_openable
from gateway.spool import Spool
from gateway.store import roles, versions
from gateway.wakeups import Wakeups
from gateway.web.internal import internal_app
from gateway.workers.heartbeat import Heartbeat
from gateway.workers.loop import Loop
from schemas.config import Role

log = structlog.get_logger()


async def _page() -> bytes:
    return write_metrics(REGISTRY).encode()


class Gateway:
    """One gateway process in its ``role``; ``public`` is a listening socket shared with others."""

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        redis_url: str,
        role: Role = Role.ALL,
        public: socket.socket | None = None,
    ) -> None:
        require_peppers(settings)
        self._keys = require_master_keys(settings)
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._role = role
        self._public = public
        self._ready = False
        self._degraded: list[str] = []
        self._front: Front | None = None
        self._background: Background | None = None
        self.internal_url = ""
        self.console_url = ""

    @property
    def api_url(self) -> str:
        """Where resellers are answered; empty in a process that answers none."""
        return self._front.api_url if self._front else ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        self._ready = True
        log.info(
            "gateway.started",
            role=self._role,
            api=self.api_url,
            internal=self.internal_url,
            console=self.console_url,
        )
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
        stack.enter_context(shown(self._pool, data_dir_of(self._settings)))
        await require_migrated(self._pool)
        await require_openable(self._pool, self._keys)
        if self._settings.database.url is not None:
            await warn_of_superuser(self._pool)
        # Until the very end there is somebody to say that this process is stopping.
        probes = internal_app(_page, self.missing, degraded=lambda: self._degraded)
        self.internal_url = await listen(stack, probes, self._settings.internal, "internal.port")
        spool = Spool(data_dir_of(self._settings) / "spool")
        stack.push_async_callback(spool.close)
        async with self._pool.acquire() as conn:
            mark = await versions.get_database_mark(conn)
        self._core = core = Core(self._settings, self._keys, self._pool, mark, self, spool)
        recorder = Recorder(self._pool, self._settings.dispatch, spool, core.standings)
        replays = Loop("spool", Replays(self._pool, spool, recorder).work)
        replays.start()
        stack.push_async_callback(replays.stop)
        stack.push_async_callback(self._start_heartbeat(spool))
        if self._role is not Role.WEB:
            self._background = Background(core)
        self._wakeups = Wakeups(self._redis_url, mark, self._background)
        if self._background:
            await self._background.start(stack)
        self._wakeups.start()
        stack.push_async_callback(self._wakeups.stop)
        if self._role is not Role.WORKER:
            await self._open_doors(stack, core)

    async def _open_doors(self, stack: AsyncExitStack, core: Core) -> None:
        """Let resellers in, and operators where they have a console."""
        self._front = Front(core, self._redis_url, keeps_standings=self._background is None)
        await self._front.start(stack, self._public)
        if self._settings.ops.port is not None:
            self.console_url = await open_console(stack, core, self._redis_url)

    def _start_heartbeat(self, spool: Spool) -> Callable[[], Awaitable[None]]:
        """Begin to say that this process lives; returns what ends that."""
        heartbeat = Heartbeat(self._pool, self._role, spool)
        beats = Loop("heartbeat", heartbeat.work)
        beats.start()

        async def end() -> None:
            await beats.stop()
            with suppress(*UNREACHABLE):
                await heartbeat.end()

        return end

    def orders_waiting(self, provider_ids: Iterable[int]) -> None:
        """Orders are waiting to be sent, by this process or by another."""
        if self._background:
            self._background.wake(provider_ids)
        self._wakeups.send(provider_ids)

    def aftercare_waiting(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations are waiting, for this process or for another."""
        if self._background:
            self._background.wake_aftercare(provider_ids)
        self._wakeups.send_aftercare(provider_ids)

    async def missing(self) -> list[str]:
        """What keeps this process from its work, in words; nothing missing is ready."""
        if not self._ready:
            return ["starting or stopping"]
        try:
            async with asyncio.timeout(2), self._pool.acquire() as conn:
                await versions.get_catalogue_version(conn)
                standbys = await roles.get_sync_standbys(conn)
        except UNREACHABLE as error:
            return [f"database: {type(error).__name__}"]
        self._degraded = ["database: no synchronous standby"] if standbys == 0 else []
        return []
