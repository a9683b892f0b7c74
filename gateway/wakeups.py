"""Wake-ups between processes, through Valkey. Only hints: everything is also found by looking.

Losing the server costs a second of delay and nothing else.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()

_CHANNEL = "smm:orders"
_RETRY_SECONDS = 2.0
#: Between hints: under load one stands for many commits.
_GAP_SECONDS = 0.02


class Wakeups:
    """Tells the other processes whose orders are waiting, and ``wake``s this one when they do.

    A hint names the ids of provider accounts.
    """

    def __init__(self, url: str, wake: Callable[[Iterable[int]], None]) -> None:
        self._redis: Redis = Redis.from_url(url, socket_connect_timeout=2)
        self._wake = wake
        self._due: set[int] = set()
        self._any_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen and to send."""
        self._tasks = [
            asyncio.create_task(self._persist(self._listen)),
            asyncio.create_task(self._persist(self._send)),
        ]

    def send(self, provider_ids: Iterable[int]) -> None:
        """Hint without waiting; several hints that wait together are one."""
        self._due.update(provider_ids)
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
            hint, self._due = json.dumps(sorted(self._due)), set()
            await self._redis.publish(_CHANNEL, hint)
            await asyncio.sleep(_GAP_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(_CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    self._wake(json.loads(message["data"]))
