"""Tokens leased from buckets that all processes share: what a process does between two exchanges.

A bucket lives in Valkey (``exchange``). Here is a *share* of it: tokens that were leased and are
not spent. A share answers at once, always. One that runs low asks for more, and until the answer is
there it may run into debt by ``Limit.credit`` tokens, as long as the bucket is not known to be
empty; a debt is charged with the next exchange. So with P processes, within any time t, no more
pass than ``burst + rate x t + P x credit``, and what shares hold at its begin. What a share has not
used for a second goes back.

While the buckets are lost, calls are counted in this process alone, by half their limit.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.web.buckets import Buckets, Limit, Quota

Who = TypeVar("Who", bound=Hashable)

_MOST_SHARES = 20_000
_SECOND = 1_000_000_000
#: A bucket that had less than was asked for is asked again after so long at the latest.
_GAP = _SECOND // 20
#: So many tokens are asked for at first; the number doubles while they are used up within a second.
_FIRST_TOKENS = 16


class Share:
    """What this process has of one bucket.

    ``tokens`` below zero are a debt. ``full_at`` is when the bucket would be full again, as the
    last exchange told, with everything that was leased counted as spent.
    """

    __slots__ = ("ask_at", "back", "base", "due", "full_at", "limit", "target", "tokens", "who")

    def __init__(self, who: Any, limit: Limit, now: int) -> None:
        self.who = who
        self.limit = limit
        self.tokens = 0
        self.full_at = now
        self.ask_at = now
        self.target = min(_FIRST_TOKENS, limit.credit)
        #: Whether it is on the list for the next exchange.
        self.due = False
        #: Tokens that were taken out of it, to be given back.
        self.back = 0
        #: ``tokens`` when it was last looked at, and what it gained since.
        self.base = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One share's exchange with its bucket: a debt is charged, ``back`` returned, then leased."""

    share: Share
    owed: int
    back: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Told:
    """A bucket's answer: the tokens leased, and the microseconds until it is full again."""

    granted: int
    missing: int


class Leases(Generic[Who]):
    """The shares of one kind of buckets; ``wake`` is called when one wants an exchange.

    Beyond ``most`` shares, newcomers are counted as if the buckets were lost.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        most: int = _MOST_SHARES,
    ) -> None:
        self._wake = wake
        self._clock = clock
        self._most = most
        self._shares: dict[Who, Share] = {}
        self._due: list[Share] = []
        self._alone = Buckets(clock)
        #: Whether the buckets are lost; set by who exchanges.
        self.lost = False

    def __len__(self) -> int:
        """How many shares there are."""
        return len(self._shares)

    def take(self, who: Who, limit: Limit) -> Quota:
        """Take a token, if there is one."""
        share = self._shares.get(who)
        if share is None or self.lost:
            share = self._new_share(who, limit)
            if share is None:
                return self._alone.take(who, limit.halved)
        if share.limit is not limit:
            # What was leased under the old limit may be worth more than the new one.
            share.limit, share.tokens = limit, min(0, share.tokens)
        now = self._clock()
        tokens = share.tokens
        missing = (share.full_at - now if share.full_at > now else 0) - tokens * limit.interval
        if tokens > 0 or (missing <= limit.room and tokens > -limit.credit):
            share.tokens = tokens - 1
            if tokens + tokens <= share.target and not share.due and now >= share.ask_at:
                self._put(share)
            # What is held while the bucket is full is more than a client was promised.
            return Quota(limit, max(limit.interval, missing + limit.interval), 0)
        if missing <= limit.room and not share.due and now >= share.ask_at:
            self._put(share)
        return _refused(limit, missing)

    def look(self, who: Who, limit: Limit) -> Quota:
        """What asking for a token would give; takes none."""
        share = self._shares.get(who)
        if share is None or self.lost:
            return self._alone.look(who, limit.halved)
        missing = max(0, share.full_at - self._clock()) - share.tokens * limit.interval
        if share.tokens > 0 or (missing <= limit.room and share.tokens > -limit.credit):
            return Quota(limit, max(0, missing), 0)
        return _refused(limit, missing)

    def due(self, most: int) -> list[Ask]:
        """The next exchanges, at most ``most``; every one is settled or failed afterwards."""
        taken, self._due = self._due[:most], self._due[most:]
        return [self._asked(share) for share in taken]

    def settle(self, ask: Ask, told: Told) -> None:
        """Take over what a bucket answered."""
        share, now = ask.share, self._clock()
        share.due = False
        gained = ask.owed + told.granted
        share.tokens += gained
        share.base += gained
        share.full_at = now + told.missing * 1_000
        share.ask_at = now
        if told.granted < ask.wanted:
            # The credit carries until the bucket has gained as much: the last of it asks for more.
            limit = share.limit
            regained = share.full_at - (limit.burst - limit.credit) * limit.interval
            share.ask_at = min(now + _GAP, regained)

    def fail(self, ask: Ask) -> None:
        """Put an exchange that was not answered back: a debt stays, what was given back is gone."""
        self._due.append(ask.share)

    def sweep(self) -> None:
        """Once a second: give back what was not used, and forget shares that say nothing."""
        now = self._clock()
        for share in list(self._shares.values()):
            used, share.base = share.base - share.tokens, share.tokens
            if share.due:
                continue
            most = share.limit.credit
            share.target = min(most, max(used, share.target // 2, _FIRST_TOKENS))
            unused = share.tokens - (share.target if used else 0)
            if unused > 0:
                share.back = unused
                share.tokens = share.base = share.tokens - unused
            if share.tokens < 0 or share.back:
                self._put(share)
            elif not share.tokens and share.full_at <= now:
                del self._shares[share.who]

    def give_back(self) -> None:
        """Give back all that is held, for the end of the process."""
        for share in self._shares.values():
            if share.tokens and not share.due:
                self._put(share)
            share.back, share.tokens = max(0, share.tokens), min(0, share.tokens)
            share.target = 0

    def _new_share(self, who: Who, limit: Limit) -> Share | None:
        if self.lost or len(self._shares) >= self._most:
            return None
        share = self._shares[who] = Share(who, limit, self._clock())
        return share

    def _put(self, share: Share) -> None:
        share.due = True
        self._due.append(share)
        self._wake()

    def _asked(self, share: Share) -> Ask:
        owed, held = max(0, -share.tokens), max(0, share.tokens)
        back, share.back = share.back, 0
        wanted = 0 if back else max(0, share.target - held)
        if share.base - share.tokens >= share.target:
            # All of it was used within a second.
            share.target = min(share.target * 2, share.limit.credit)
        return Ask(share, owed, back, wanted)


def _refused(limit: Limit, missing: int) -> Quota:
    # A share whose debt is as large as it may be has nothing left to show, whatever the bucket has.
    missing = max(missing, limit.room + 1)
    return Quota(limit, missing, missing - limit.room)
