"""The one background loop: works, waits for a wake-up or its interval, survives failures."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gateway.metrics import LOOP_FAILURES

log = structlog.get_logger()

_LONGEST_BACKOFF = 30.0
_MOST_DOUBLINGS = 10
_STOP_SECONDS = 5.0


class Loop:
    """Runs ``work`` again and again until stopped.

    ``work`` returns how many seconds may pass until it is wanted again; a wake-up cuts that
    short. When it raises, the loop logs, waits a little longer each time, and goes on.
    Stopping lets running work end: cut short, a claim would be committed and forgotten.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[float]]) -> None:
        self.name = name
        self._work = work
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in a task of its own."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """There is something to do: do not wait for the interval."""
        self._woken.set()

    async def stop(self, patience: float = _STOP_SECONDS) -> None:
        """End after the work that is running, which gets ``patience`` seconds for it."""
        self._stopping.set()
        self._woken.set()
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=patience)
            if late:
                self._task.cancel()
                await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._woken.clear()
            sooner = self._woken
            try:
                pause = await self._work()
                failures = 0
            except Exception:
                failures = min(failures + 1, _MOST_DOUBLINGS)
                pause = min(2.0**failures / 4, _LONGEST_BACKOFF)
                sooner = self._stopping
                LOOP_FAILURES.labels(self.name).inc()
                log.exception("loop.failed", loop=self.name, seconds=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await sooner.wait()
