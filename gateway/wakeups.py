"""Wake-ups between processes, through Valkey. Only hints: everything is also found by looking.

Losing the server costs a second of delay and nothing else.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import structlog
from redis.exceptions import RedisClusterException, RedisError

from gateway.metrics import VALKEY_LOSSES, VALKEY_LOST
from gateway.valkey_client import close_client, end_tasks, open_client

log = structlog.get_logger()

#: A server that does not answer a hint for so long is lost.
_TIMEOUT_SECONDS = 2.0
_RETRY_SECONDS = 2.0
#: After so long without a hint the server is asked whether it is still there.
_SILENCE_SECONDS = 10.0
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

    A hint names the ids of provider accounts of one ``database``, whose mark names the channel: a
    Valkey has no databases for channels. A process that does none of the work listens to none.

    Raises:
        UserError: when the URL cannot be read.
    """

    def __init__(self, url: str, database: str, woken: Woken | None) -> None:
        self._client = open_client(url, timeout_seconds=_TIMEOUT_SECONDS)
        self._channel = f"smm:{database}:hints"
        self._woken = woken
        self._lost = False
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
        await end_tasks(self._tasks)
        await close_client(self._client)

    async def _persist(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (RedisError, RedisClusterException, OSError) as error:
                self._note(lost=True, reason=type(error).__name__)
            except Exception:
                log.exception("wakeups.failed")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _send(self) -> None:
        while True:
            await self._any_due.wait()
            self._any_due.clear()
            hint = {"orders": sorted(self._orders), "aftercare": sorted(self._aftercare)}
            self._orders, self._aftercare = set(), set()
            await self._client.publish(self._channel, json.dumps(hint))
            self._note(lost=False)
            await asyncio.sleep(_GAP_SECONDS)

    async def _listen(self) -> None:
        assert self._woken is not None
        # A Cluster has to be looked at before a node can be chosen to listen to.
        await self._client.initialize()
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=_SILENCE_SECONDS)
                if message is not None:
                    asked = False
                    self._note(lost=False)
                    if message["type"] == "message":
                        hint = json.loads(message["data"])
                        self._woken.wake(hint["orders"])
                        self._woken.wake_aftercare(hint["aftercare"])
                elif asked:
                    raise TimeoutError
                else:
                    await pubsub.ping()
                    asked = True

    def _note(self, *, lost: bool, reason: str = "") -> None:
        VALKEY_LOST.labels("wakeups").set(lost)
        if lost == self._lost:
            return
        self._lost = lost
        if lost:
            VALKEY_LOSSES.labels("wakeups").inc()
            log.warning("wakeups.lost", reason=reason, instead="queues are looked at each second")
        else:
            log.info("wakeups.found")
