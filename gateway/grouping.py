"""Groups: while one piece of work is in flight, what arrives meanwhile becomes the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Overloaded(Exception):
    """More is waiting than can be answered in reasonable time; the client should come again."""


class GroupFailed(Exception):
    """The work on a group failed as a whole; what was asked may or may not have happened."""


class Groups(Generic[Item, Answer]):
    """Runs ``work`` on groups of items, one group at a time.

    ``work`` answers for every item, in order; an answer that is an exception is raised to that
    item's caller alone. When ``work`` itself raises, every caller of the group gets GroupFailed.

    The group runs in a task of its own: a caller that goes away does not cancel it.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        largest: int,
        waiting: int = 20_000,
    ) -> None:
        self._work = work
        self._name = getattr(work, "__qualname__", "")
        self._largest = largest
        self._limit = waiting
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Put an item into the next group; the future is its answer.

        Raises:
            Overloaded: when too much is waiting already; the item was not taken.
        """
        if len(self._waiting) >= self._limit:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = loop.create_task(self._run())
        return future

    async def finish(self) -> None:
        """Wait until everything that was submitted has been answered."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._largest)
                await self._run_group([self._waiting.popleft() for _ in range(size)])
        finally:
            self._task = None

    async def _run_group(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._work([item for item, _ in group])
        except Exception as error:
            # Once for the group, not once for each caller.
            log.exception("group.failed", group=self._name, items=len(group))
            answers = [GroupFailed(type(error).__name__)] * len(group)
        for (_, future), answer in zip(group, answers, strict=True):
            if future.cancelled():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
