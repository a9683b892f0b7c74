"""Groups: while one piece of work is in flight, what arrives meanwhile becomes the next one.

The queue is fair and bounded. Owners take turns in it, so one that floods waits for itself alone.
Who would wait too long is told so at once, before anything is done for it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import copy_context
from math import exp
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: What groups did is forgotten over so many seconds of work.
_REMEMBERED_SECONDS = 1.0
#: The most that one owner may have waiting, as a part of all that may wait.
_OWNERS_PART = 4


class Overloaded(Exception):
    """More is waiting than can be answered in reasonable time; the client should come again."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class GroupFailed(Exception):
    """The work on a group failed as a whole; what was asked may or may not have happened."""


class _Pace:
    """What a group takes, from the seconds that the last ones took.

    Seconds of work are what fades, not groups: one slow group among hundreds that are done in a
    second says little, one that takes seconds says nearly all.
    """

    __slots__ = ("_groups", "_seconds")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._groups = 0.0

    def add(self, seconds: float) -> None:
        """Count a group that is done."""
        kept = exp(-seconds / _REMEMBERED_SECONDS)
        self._seconds = self._seconds * kept + seconds
        self._groups = self._groups * kept + 1

    def after(self, seconds: float) -> float:
        """What a group takes, if the one at work were done after so long."""
        kept = exp(-seconds / _REMEMBERED_SECONDS)
        return (self._seconds * kept + seconds) / (self._groups * kept + 1)


class _Waiting(Generic[Item, Answer]):
    """An item in the queue. ``gone`` says whether its caller has left."""

    __slots__ = ("future", "gone", "item")

    def __init__(
        self, item: Item, future: asyncio.Future[Answer], gone: Callable[[], bool] | None
    ) -> None:
        self.item = item
        self.future = future
        self.gone = gone


class Groups(Generic[Item, Answer]):
    """Runs ``work`` on groups of items, one group at a time.

    ``work`` answers for every item, in order; an answer that is an exception is raised to that
    item's caller alone. When ``work`` itself raises, every caller of the group gets GroupFailed.

    The group runs in a task of its own: a caller that goes away does not cancel it. An item whose
    caller has left before its group begins is dropped; nothing was done for it.

    At most ``waiting`` items wait, a quarter of them of one owner. With ``longest_wait``, in
    seconds, an item that would wait longer at the pace of the last groups is not taken.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        largest: int,
        waiting: int = 20_000,
        owner_of: Callable[[Item], Hashable] | None = None,
        longest_wait: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._name = getattr(work, "__qualname__", "")
        self._largest = largest
        self._limit = waiting
        self._own_limit = waiting if owner_of is None else max(1, waiting // _OWNERS_PART)
        self._owner_of = owner_of
        self._longest_wait = longest_wait
        self._clock = clock
        #: By owner, in the order of their next turns.
        self._queues: dict[Hashable, deque[_Waiting[Item, Answer]]] = {}
        self._number = 0
        self._pace = _Pace()
        self._began: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._context = copy_context()

    def __len__(self) -> int:
        """How many items wait."""
        return self._number

    def submit(self, item: Item, gone: Callable[[], bool] | None = None) -> asyncio.Future[Answer]:
        """Put an item into the next group that has room; the future is its answer.

        Raises:
            Overloaded: when too much is waiting already; the item was not taken.
        """
        owner = self._owner_of(item) if self._owner_of is not None else None
        own = self._queues.get(owner)
        if self._number >= self._largest:
            self._make_room(own)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if own is None:
            own = self._queues[owner] = deque()
        own.append(_Waiting(item, future, gone))
        self._number += 1
        if self._task is None:
            # A group is nobody's: what it logs does not carry the ids of who came first.
            self._task = loop.create_task(self._run(), context=self._context.copy())
        return future

    async def finish(self) -> None:
        """Wait until everything that was submitted has been answered."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def _make_room(self, own: deque[_Waiting[Item, Answer]] | None) -> None:
        """Raise Overloaded, unless an item of the owner of this queue may wait.

        What fits into the next group is always taken: a pace can only be measured by work.
        """
        ahead = 0 if own is None else len(own)
        # As many turns as the owner has items, and in each of them every owner has one.
        before = min(self._number, (ahead + 1) * len(self._queues))
        if before >= self._largest and self._longest_wait is not None:
            running = 0.0 if self._began is None else self._clock() - self._began
            pace = self._pace.after(running)
            if max(running, pace) + before // self._largest * pace > self._longest_wait:
                raise Overloaded(max(1, int(self._longest_wait)))
        if ahead >= self._own_limit:
            raise Overloaded
        if self._number >= self._limit:
            self._put_off(ahead)

    def _put_off(self, ahead: int) -> None:
        """Tell the last item of the longest queue to come again, where that is fair."""
        longest = max(self._queues.values(), key=len)
        if len(longest) <= ahead + 1:
            raise Overloaded
        put_off = longest.pop()
        self._number -= 1
        if not put_off.future.done():
            put_off.future.set_exception(Overloaded())

    async def _run(self) -> None:
        try:
            while self._queues:
                if group := self._next_group():
                    await self._run_group(group)
        finally:
            self._task = None

    def _next_group(self) -> list[_Waiting[Item, Answer]]:
        """One item of each owner in turn, until the group is full."""
        group: list[_Waiting[Item, Answer]] = []
        queues = self._queues
        while queues and len(group) < self._largest:
            for owner in list(queues)[: self._largest - len(group)]:
                queue = queues.pop(owner)
                waiting = queue.popleft()
                self._number -= 1
                if queue:
                    queues[owner] = queue
                if waiting.future.cancelled():
                    continue
                if waiting.gone is not None and waiting.gone():
                    waiting.future.set_exception(Overloaded())
                else:
                    group.append(waiting)
        return group

    async def _run_group(self, group: list[_Waiting[Item, Answer]]) -> None:
        self._began = self._clock()
        try:
            answers = await self._work([waiting.item for waiting in group])
        except Exception as error:
            # Once for the group, not once for each caller.
            log.exception("group.failed", group=self._name, items=len(group))
            answers = [GroupFailed(type(error).__name__)] * len(group)
        self._pace.add(self._clock() - self._began)
        self._began = None
        for waiting, answer in zip(group, answers, strict=True):
            future = waiting.future
            if future.cancelled():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
