"""How often passwords and codes may be tried: by address, and by account.

Nobody is locked out by strangers. A browser in which an operator has signed in before is known by a
cookie that proves it; its attempts at that account are counted apart from those of all others. The
buckets refill slowly: after the first few, one attempt a minute.
"""

import hmac
from collections.abc import Hashable
from hashlib import blake2b

from gateway.web.buckets import Limit
from gateway.web.leases import Leases

_MINUTE = 60 * 1_000_000_000
#: At first so many, then one a minute.
_BY_ADDRESS = Limit(1, _MINUTE // 4, 40)
_BY_ACCOUNT = Limit(1, _MINUTE, 10)


def attempts_bucket(who: Hashable, database: str, pepper: bytes) -> str:
    """The name of a bucket, in which nobody can read whose it is."""
    digest = blake2b(repr(who).encode(), key=pepper[:64], digest_size=16).hexdigest()
    return f"smm:{database}:sign_in:{{{digest}}}"


class SignInAttempts:
    """Counts attempts to sign in."""

    def __init__(self, leases: "Leases[Hashable]", key: bytes) -> None:
        self._leases = leases
        self._key = key

    def mark_for(self, account: str) -> str:
        """What a browser in which ``account`` has signed in is known by, from then on."""
        return hmac.digest(self._key, b"browser:" + account.encode(), "sha256").hex()

    def knows(self, account: str, mark: str) -> bool:
        """Whether ``account`` has signed in before in the browser with this mark."""
        return hmac.compare_digest(self.mark_for(account).encode(), mark.encode())

    def take(self, source: Hashable, account: str, mark: str) -> int:
        """Count an attempt; returns 0, or the seconds to wait where there were too many."""
        known = self.knows(account, mark)
        if not known:
            # First: an address that tries too much must not use up the account's attempts.
            by_address = self._leases.take(("address", source), _BY_ADDRESS)
            if by_address.wait:
                return by_address.retry_after
        quota = self._leases.take(("account", account, known), _BY_ACCOUNT)
        return quota.retry_after if quota.wait else 0

    def take_code(self, operator_id: int) -> int:
        """Count an attempt at a code, by who knows the password; returns as ``take``."""
        quota = self._leases.take(("code", operator_id), _BY_ACCOUNT)
        return quota.retry_after if quota.wait else 0
