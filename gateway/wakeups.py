"""Wake-ups between processes, through Valkey. Only hints: everything is also found by looking.

Losing the server costs a second of delay and nothing else.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()

_CHANNEL = "smm:hints"
_RETRY_SECONDS = 2.0
#: Between hints: under load one stands for many commits.
_GAP_SECONDS = 0.02


class Woken(Protocol):
    """Who does the work that hints speak of."""

    def wake(self, provider_ids: Iterable[int]) -> None:
        """Orders are waiting for these accounts."""

    def wake_aftercare(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations are waiting for these accounts."""


class Wakeups:
    """Tells the other processes whose work is waiting, and wakes ``woken`` when they do.

    A hint names the ids of provider accounts. A process that does none of the work listens to none.
    """

    def __init__(self, url: str, woken: Woken | None) -> None:
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=2)
        self._woken = woken
        self._orders: set[int] = set()
        self._aftercare: set[int] = set()
        self._any_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send, and to listen."""
        works = [self._send] if self._woken is None else [self._send, self._listen]
        self._tasks = [asyncio.create_task(self._persist(work)) for work in works]

    def send(self, provider_ids: Iterable[int]) -> None:
        """Orders wait: hint without waiting; several hints that wait together are one."""
        self._orders.update(provider_ids)
        self._any_due.set()

    def send_aftercare(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations wait: as ``send``."""
        self._aftercare.update(provider_ids)
        self._any_due.set()

    async def stop(self) -> None:
        """Stop, and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def _persist(self, work: Callable[[], Awaitable[None]]) -> None:
        lost = False
        while True:
            try:
                await work()
            except (RedisError, OSError) as error:
                if not lost:
                    log.warning("wakeups.lost", reason=type(error).__name__)
                lost = True
            except Exception:
                log.exception("wakeups.failed")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _send(self) -> None:
        while True:
            await self._any_due.wait()
            self._any_due.clear()
            hint = {"orders": sorted(self._orders), "aftercare": sorted(self._aftercare)}
            self._orders, self._aftercare = set(), set()
            await self._redis.publish(_CHANNEL, json.dumps(hint))
            await asyncio.sleep(_GAP_SECONDS)

    async def _listen(self) -> None:
        assert self._woken is not None
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(_CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    hint = json.loads(message["data"])
                    self._woken.wake(hint["orders"])
                    self._woken.wake_aftercare(hint["aftercare"])
