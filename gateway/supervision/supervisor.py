"""The supervisor: starts workers, replaces those that die, and exchanges all one after the other.

It holds the public listening socket and passes it on, so that connections wait in its queue while
there is nobody to accept them, and none is refused.
"""

import asyncio
import socket
import time
from collections.abc import Sequence

import structlog

from gateway.errors import UserError
from gateway.metrics import WORKER_RESTARTS, WORKERS_READY, WORKERS_WANTED
from gateway.supervision.worker import Worker

log = structlog.get_logger()

START_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_MOST_DOUBLINGS = 10
#: A worker that has lived for so long was not broken from the start.
_SETTLED_SECONDS = 60.0


class Supervisor:
    """Keeps ``count`` workers running with the same ``flags``.

    A worker that is to stop gets ``patience`` seconds for it.
    """

    def __init__(
        self, count: int, flags: Sequence[str], public: socket.socket | None, patience: float
    ) -> None:
        self._count = count
        self._flags = flags
        self._public = public
        self._patience = patience
        self._places: dict[int, Worker] = {}
        self._living: set[Worker] = set()
        self._changing = asyncio.Lock()
        self._restart_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def workers(self) -> list[Worker]:
        """The workers of all places."""
        return [self._places[number] for number in sorted(self._places)]

    @property
    def living(self) -> list[Worker]:
        """All worker processes, also those that are just starting or stopping, oldest first."""
        return sorted(self._living, key=lambda worker: worker.started_at)

    async def start(self) -> None:
        """Start all workers, and return when they are ready.

        Raises:
            UserError: when one ends, or is not ready in time.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._count + 1):
                    group.create_task(self._take_place(number))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._tasks = [asyncio.create_task(self._keep(number)) for number in self._places]
        self._tasks.append(asyncio.create_task(self._restart_when_wanted()))

    def restart(self) -> None:
        """Exchange all workers, one after the other; a wish during an exchange begins another."""
        self._restart_wanted.set()

    async def stop(self) -> None:
        """Stop all workers; each answers what it has begun."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await asyncio.gather(*(worker.stop(self._patience) for worker in self._living))

    def missing(self) -> list[str]:
        """What keeps the whole from being ready: all workers at the start, then the last one."""
        ready = sum(worker.ready for worker in self._places.values())
        WORKERS_READY.set(ready)
        WORKERS_WANTED.set(self._count)
        if not self._tasks:
            return ["starting or stopping"]
        return [] if ready else ["no worker is ready"]

    async def _take_place(self, number: int) -> None:
        """Put a new worker in a place when it is ready, beside the one that is there.

        Raises:
            UserError: when it cannot be started, ends, or is not ready in time; the other one
                stays.
        """
        try:
            worker = await Worker.spawn(number, self._flags, self._public)
        except OSError as error:
            raise UserError(f"worker {number} cannot be started: {error.strerror}") from None
        self._living.add(worker)
        if await worker.wait_ready(START_SECONDS):
            self._places[number] = worker
            log.info("worker.ready", worker=number, pid=worker.pid)
            return
        ended = not worker.alive
        await self._end(worker)
        if ended:
            raise UserError(f"worker {number} ended while it started: the lines above say why")
        raise UserError(
            f"worker {number} was not ready within {START_SECONDS:.0f} seconds: "
            "see the log, and whether the database answers"
        )

    async def _end(self, worker: Worker) -> None:
        await worker.stop(self._patience)
        self._living.discard(worker)

    async def _keep(self, number: int) -> None:
        """Put a new worker in a place whenever the one there has died."""
        failures = 0
        while True:
            worker = self._places[number]
            code = await worker.wait()
            async with self._changing:
                if self._places[number] is not worker:
                    continue
            self._living.discard(worker)
            log.error("worker.died", worker=number, pid=worker.pid, code=code)
            if time.monotonic() - worker.started_at > _SETTLED_SECONDS:
                failures = 0
            while self._places[number] is worker:
                await asyncio.sleep(min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE))
                failures = min(failures + 1, _MOST_DOUBLINGS)
                async with self._changing:
                    await self._replace_dead(number, worker)

    async def _replace_dead(self, number: int, dead: Worker) -> None:
        if self._places[number] is not dead:
            return
        WORKER_RESTARTS.inc()
        try:
            await self._take_place(number)
        except UserError as error:
            log.error("worker.not_restarted", worker=number, reason=str(error))

    async def _restart_when_wanted(self) -> None:
        while True:
            await self._restart_wanted.wait()
            self._restart_wanted.clear()
            async with self._changing:
                await self._restart_all()

    async def _restart_all(self) -> None:
        log.info("restart.begun", workers=len(self._places))
        for number, old in sorted(self._places.items()):
            try:
                await self._take_place(number)
            except UserError as error:
                log.error(
                    "restart.given_up",
                    reason=str(error),
                    hint="the workers before it are exchanged, it and those after it stay",
                )
                return
            await self._end(old)
        log.info("restart.done", workers=len(self._places))
