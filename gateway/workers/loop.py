"""The one background loop: works, waits for a wake-up or its interval, survives failures."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.metrics import LOOP_FAILURES

log = structlog.get_logger()

_LONGEST_BACKOFF = 30.0


class Loop:
    """Runs ``work`` again and again until stopped.

    ``work`` returns how many seconds may pass until it is wanted again; a wake-up cuts that
    short. When it raises, the loop logs, waits a little longer each time, and goes on.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[float]]) -> None:
        self.name = name
        self._work = work
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in a task of its own."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """There is something to do: do not wait for the interval."""
        self._woken.set()

    async def stop(self) -> None:
        """Cancel the loop and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        while True:
            self._woken.clear()
            try:
                pause = await self._work()
                failures = 0
            except Exception:
                failures += 1
                pause = min(2.0**failures / 4, _LONGEST_BACKOFF)
                LOOP_FAILURES.labels(self.name).inc()
                log.exception("loop.failed", loop=self.name, seconds=pause)
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass
