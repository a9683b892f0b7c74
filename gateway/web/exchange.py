"""The buckets that all processes share, in Valkey, and the task that exchanges tokens with them.

No call waits for it: see ``leases``. A bucket is one key with one number, by the server's clock, so
that the clocks of our machines do not matter. A key of another type, or with anything else in it,
is replaced. The script travels with every call: a server that has lost everything needs nothing
else to go on.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import structlog

from gateway.metrics import VALKEY_LOSSES, VALKEY_LOST
from gateway.valkey_client import close_client, end_tasks, open_client, run_script
from gateway.web.leases import Ask, Leases, Told

log = structlog.get_logger()

Who = TypeVar("Who", bound=Hashable)

#: Silence for so long is a loss: meanwhile calls are answered from what is held.
_TIMEOUT_SECONDS = 0.5
_EXCHANGE_SECONDS = 3.0
_RETRY_SECONDS = 1.0
_SWEEP_SECONDS = 1.0
_MOST_ASKS = 500

#: The key holds when the bucket will be full again (GCRA's "theoretical arrival time"), in
#: microseconds since 1970. Of more than one token, at most half of what is there is given, so that
#: the next process finds some, too. A clock that was set back costs nobody more than five bursts.
EXCHANGE = """
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local owed, back, wanted = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = redis.pcall('GET', KEYS[1])
local full_at = type(kept) == 'string' and tonumber(kept) or now
local missing = full_at - now
if not (missing > 0) then missing = 0 end
missing = math.min(missing, 5 * burst * interval)
missing = math.max(0, missing - back * interval) + owed * interval
local there = math.floor((burst * interval - missing) / interval)
local granted = math.max(0, math.min(wanted, there, math.max(1, math.floor(there / 2))))
missing = math.ceil(missing + granted * interval)
if missing > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', now + missing),
             'PX', math.ceil(missing / 1000))
else
  redis.call('DEL', KEYS[1])
end
return {granted, missing}
"""


class Exchange:
    """Exchanges tokens in the background, many buckets in one round trip.

    ``start`` and ``stop`` it; ``stop`` gives back what is held.

    Raises:
        UserError: when the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._client = open_client(url, timeout_seconds=_TIMEOUT_SECONDS)
        self._due = asyncio.Event()
        self._kinds: list[tuple[Leases[Any], Callable[[Any], str]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = False
        self._on_the_wire = asyncio.Lock()

    def leases(self, name_of: Callable[[Who], str]) -> Leases[Who]:
        """The leases of one kind of buckets; ``name_of`` gives a bucket's key."""
        made: Leases[Who] = Leases(self._due.set)
        self._kinds.append((made, name_of))
        return made

    def start(self) -> None:
        """Begin to exchange."""
        VALKEY_LOST.labels("limits").set(0)
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Stop, give back what is held, and close the connections."""
        async with self._on_the_wire:
            await end_tasks(self._tasks)
        for leases, _ in self._kinds:
            leases.give_back()
        if not self._lost:
            await self._exchange()
        await close_client(self._client)

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            async with self._on_the_wire:
                asked = await self._exchange()
            # What does not fit into one round trip, or came meanwhile, is next.
            if asked and not self._lost:
                self._due.set()
            elif self._lost:
                await asyncio.sleep(_RETRY_SECONDS)
                self._due.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for leases, _ in self._kinds:
                leases.sweep()

    async def _exchange(self) -> bool:
        """One round trip; whether there was anything to ask."""
        asks = [
            (leases, ask, name_of(ask.share.who))
            for leases, name_of in self._kinds
            for ask in leases.due(_MOST_ASKS)
        ]
        if not asks:
            return False
        reason = ""
        for (leases, ask, _), answer in zip(asks, await self._ask(asks), strict=True):
            if isinstance(answer, Exception):
                reason = type(answer).__name__
                leases.fail(ask)
            else:
                leases.settle(ask, answer)
        self._note(reason)
        return True

    async def _ask(self, asks: Sequence[tuple[object, Ask, str]]) -> list[Told | Exception]:
        calls = [
            (name, limit.interval / 1000, limit.burst, ask.owed, ask.back, ask.wanted)
            for _, ask, name in asks
            for limit in (ask.share.limit,)
        ]
        try:
            async with asyncio.timeout(_EXCHANGE_SECONDS):
                answers = await run_script(self._client, EXCHANGE, calls)
        except Exception as error:  # noqa: BLE001 - whatever it is, calls must go on
            return [error] * len(asks)
        return [a if isinstance(a, Exception) else Told(*a) for a in answers]

    def _note(self, reason: str) -> None:
        """Take note of a loss, with its reason, or of none."""
        lost = bool(reason)
        if lost == self._lost:
            return
        self._lost = lost
        for leases, _ in self._kinds:
            leases.lost = lost
        VALKEY_LOST.labels("limits").set(lost)
        if lost:
            VALKEY_LOSSES.labels("limits").inc()
            log.warning("limits.lost", reason=reason, instead="half of each limit, in this process")
        else:
            log.info("limits.found")
