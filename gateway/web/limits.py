"""Who may ask how much: the limit of every key, and of wrong keys by address."""

from collections.abc import Hashable
from hashlib import blake2b

from gateway.web.buckets import Limit, Quota
from gateway.web.leases import Leases
from schemas.config import LimitSettings
from schemas.resellers import UNLIMITED, Access

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
#: The burst of a limit that is set for one reseller, in seconds of its rate.
BURST_SECONDS = 10


class TooManyRequests(Exception):
    """More was asked than is allowed; the client should come again in ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


def calls_bucket(who: tuple[int, int], database: str) -> str:
    """The name of the bucket of a reseller's key; a reseller's are in one slot of a Cluster.

    Ids mean something in one database only, whose mark is in the name.
    """
    reseller_id, key_id = who
    return f"smm:{database}:calls:{{{reseller_id}}}:{key_id}"


def wrong_keys_bucket(source: Hashable, database: str, pepper: bytes) -> str:
    """The name of the bucket of wrong keys from a source, which cannot be read from it."""
    digest = blake2b(str(source).encode(), key=pepper[:64], digest_size=16).hexdigest()
    return f"smm:{database}:wrong_keys:{{{digest}}}"


class RateLimits:
    """The limit of every key: its reseller's, or the default of the settings."""

    def __init__(self, settings: LimitSettings, leases: "Leases[tuple[int, int]]") -> None:
        self._default = Limit(settings.requests_per_second, _SECOND, settings.burst)
        self._own: dict[int, Limit] = {}
        self._leases = leases

    def take(self, access: Access) -> Quota | None:
        """Take a token for one call; None where the reseller has no limit."""
        number = access.request_limit
        if number is None:
            limit = self._default
        elif number == UNLIMITED:
            return None
        else:
            limit = self._own.get(number) or self._limit(number)
        return self._leases.take((access.reseller_id, access.key_id), limit)

    def _limit(self, number: int) -> Limit:
        limit = self._own[number] = Limit(number, _SECOND, number * BURST_SECONDS)
        return limit


class WrongKeys:
    """Counts the keys that opened nothing, by the address that they came from."""

    def __init__(self, settings: LimitSettings, leases: "Leases[Hashable]") -> None:
        number = settings.wrong_keys_per_minute
        self._limit = Limit(number, _MINUTE, number)
        self._leases = leases

    def too_many(self, source: Hashable) -> bool:
        """Whether this source has tried more than it may."""
        return self._leases.look(source, self._limit).wait > 0

    def add(self, source: Hashable) -> None:
        """Count a wrong key.

        Raises:
            TooManyRequests: when the source has tried more than it may.
        """
        quota = self._leases.take(source, self._limit)
        if quota.wait:
            raise TooManyRequests(quota.retry_after)
