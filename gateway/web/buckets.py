"""How much is answered: token buckets, a number each.

A bucket holds ``burst`` tokens and gains one each ``interval``. All that is kept of it is when it
will be full again; a full one is forgotten, so memory is bounded by who asked lately. Times are
whole nanoseconds of a clock that never goes back.

``Buckets`` are the memory of one process. Those of all processes are in Valkey (``leases``).
"""

import heapq
import time
from collections.abc import Callable, Hashable
from operator import itemgetter

from multidict import CIMultiDict, istr

_SECOND = 1_000_000_000
_MOST_BUCKETS = 20_000
_LIMIT, _REMAINING, _RESET = map(
    istr, ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
)
_CREDIT_PARTS = 4


class Limit:
    """A bucket's size, and the nanoseconds in which it gains a token.

    It gains ``number`` in so many nanoseconds and never one more: the interval is rounded up.
    ``credit`` is what one process may answer before it has heard of the bucket that it shares.
    """

    __slots__ = ("_halved", "burst", "credit", "interval", "room", "text")

    def __init__(self, number: int, nanoseconds: int, burst: int) -> None:
        self._halved: Limit | None = None
        self.burst = burst
        self.credit = max(1, burst // _CREDIT_PARTS)
        self.interval = -(-nanoseconds // number)
        #: What may be missing while there is still a token.
        self.room = (burst - 1) * self.interval
        self.text = str(burst)

    @property
    def halved(self) -> "Limit":
        """Half of it, but a token at least: what one process answers by when it counts alone."""
        if self._halved is None:
            self._halved = Limit(1, 2 * self.interval, max(1, self.burst // 2))
        return self._halved


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
