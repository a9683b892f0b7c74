"""How much is answered: token buckets, a number each, in the memory of this process.

A bucket holds ``burst`` tokens and gains one each ``interval``. All that is kept of it is when it
will be full again; a full one is forgotten, so memory is bounded by who asked lately. Times are
whole nanoseconds of a clock that never goes back.
"""

import heapq
import time
from collections.abc import Callable, Hashable
from operator import itemgetter

from multidict import CIMultiDict, istr

from schemas.config import LimitSettings
from schemas.resellers import UNLIMITED, Access

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_MOST_BUCKETS = 20_000
_LIMIT, _REMAINING, _RESET = map(
    istr, ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
)
#: The burst of a limit that is set for one reseller, in seconds of its rate.
BURST_SECONDS = 10


class TooManyRequests(Exception):
    """More was asked than is allowed; the client should come again in ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Limit:
    """A bucket's size, and the nanoseconds in which it gains a token.

    It gains ``number`` in so many nanoseconds and never one more: the interval is rounded up.
    """

    __slots__ = ("burst", "interval", "room", "text")

    def __init__(self, number: int, nanoseconds: int, burst: int) -> None:
        self.burst = burst
        self.interval = -(-nanoseconds // number)
        #: What may be missing while there is still a token.
        self.room = (burst - 1) * self.interval
        self.text = str(burst)


class Quota:
    """What became of asking for a token, and what is left: ``wait`` is 0 when it was given.

    ``missing`` are the nanoseconds until the bucket is full, ``wait`` those until it has a token.
    """

    __slots__ = ("limit", "missing", "wait")

    def __init__(self, limit: Limit, missing: int, wait: int) -> None:
        self.limit = limit
        self.missing = missing
        self.wait = wait

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a token is there, at least 1."""
        return max(1, -(-self.wait // _SECOND))

    def mark(self, headers: CIMultiDict[str]) -> None:
        """Tell a client the bucket's size, the tokens left, and the seconds until it is full."""
        limit, missing = self.limit, self.missing
        headers[_LIMIT] = limit.text
        headers[_REMAINING] = str(max(0, limit.burst + -missing // limit.interval))
        headers[_RESET] = str(-(-missing // _SECOND))


class Buckets:
    """A bucket for everyone who asks.

    Beyond ``most``, those that have the least left are kept and the others begin anew.
    """

    def __init__(
        self, clock: Callable[[], int] = time.monotonic_ns, *, most: int = _MOST_BUCKETS
    ) -> None:
        self._clock = clock
        self._most = most
        self._full_at: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._full_at)

    def look(self, who: Hashable, limit: Limit) -> Quota:
        """What asking for a token would give; takes none."""
        now = self._clock()
        missing = max(0, self._full_at.get(who, now) - now)
        return Quota(limit, missing, max(0, missing - limit.room))

    def take(self, who: Hashable, limit: Limit) -> Quota:
        """Take a token, if there is one."""
        now = self._clock()
        buckets = self._full_at
        full_at = buckets.get(who, now)
        missing = full_at - now if full_at > now else 0
        if missing > limit.room:
            return Quota(limit, missing, missing - limit.room)
        if len(buckets) >= self._most and who not in buckets:
            self._forget(now)
        missing += limit.interval
        self._full_at[who] = now + missing
        return Quota(limit, missing, 0)

    def _forget(self, now: int) -> None:
        kept = [(who, full_at) for who, full_at in self._full_at.items() if full_at > now]
        # Down to the half, so that the next newcomers do not have to look again.
        self._full_at = dict(heapq.nlargest(self._most // 2, kept, key=itemgetter(1)))


class RateLimits:
    """The limit of every key: its reseller's, or the default of the settings."""

    def __init__(
        self, settings: LimitSettings, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._default = Limit(settings.requests_per_second, _SECOND, settings.burst)
        self._own: dict[int, Limit] = {}
        self._buckets = Buckets(clock)

    def take(self, access: Access) -> Quota | None:
        """Take a token for one call; None where the reseller has no limit."""
        number = access.request_limit
        if number is None:
            limit = self._default
        elif number == UNLIMITED:
            return None
        else:
            limit = self._own.get(number) or self._limit(number)
        return self._buckets.take(access.key_id, limit)

    def _limit(self, number: int) -> Limit:
        limit = self._own[number] = Limit(number, _SECOND, number * BURST_SECONDS)
        return limit


class WrongKeys:
    """Counts the keys that opened nothing, by the address that they came from."""

    def __init__(
        self, settings: LimitSettings, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        number = settings.wrong_keys_per_minute
        self._limit = Limit(number, _MINUTE, number)
        self._buckets = Buckets(clock)

    def too_many(self, source: Hashable) -> bool:
        """Whether this source has tried more than it may."""
        return self._buckets.look(source, self._limit).wait > 0

    def add(self, source: Hashable) -> None:
        """Count a wrong key.

        Raises:
            TooManyRequests: when the source has tried more than it may.
        """
        quota = self._buckets.take(source, self._limit)
        if quota.wait:
            raise TooManyRequests(quota.retry_after)
