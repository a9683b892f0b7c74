"""API keys: how they are made, recognised and looked up, and what they open.

A key is random, so a keyed hash protects it as well as a slow one would, at a thousandth of the
cost: the database holds HMAC-SHA256(pepper, key), and the pepper is not in the database. The hash
takes any text, so keys issued by an older panel can be taken over.
"""

import hmac
import secrets
import string
import time
import zlib
from collections.abc import Callable, Sequence

from gateway.grouping import Groups
from gateway.store import resellers
from gateway.store.connection import Pool
from schemas.resellers import Access

PREFIX = "smm_"
LONGEST_KEY = 256
_ALPHABET = string.digits + string.ascii_letters
_RANDOM_CHARACTERS = 40
_CHECKSUM_CHARACTERS = 6

#: A revoked key is refused by every process at the latest after so many seconds.
CACHE_SECONDS = 3.0
_CACHED_KEYS = 50_000


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def new_key() -> str:
    """A fresh key: our prefix, 238 random bits, and a checksum that scanners can verify."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return body + _checksum(body)


def is_ours(key: str) -> bool:
    """Whether the text has the form of a key that we issued, checksum included."""
    body, checksum = key[:-_CHECKSUM_CHARACTERS], key[-_CHECKSUM_CHARACTERS:]
    return key.startswith(PREFIX) and hmac.compare_digest(_checksum(body), checksum)


def mac_of(pepper: bytes, key: str) -> bytes:
    """What the database knows a key by."""
    return hmac.digest(pepper, key.encode("utf-8", "surrogatepass"), "sha256")


class KeyRing:
    """Finds out what a key opens; remembers good keys for a few seconds, bad ones never."""

    def __init__(
        self, pool: Pool, pepper: bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._pepper = pepper
        self._clock = clock
        self._known: dict[bytes, tuple[float, Access]] = {}
        self._groups: Groups[bytes, Access | None] = Groups(self._look_up, largest=1000)

    def known(self, key: str) -> Access | None:
        """What ``key`` opens, if that was looked up in the last seconds."""
        known = self._known.get(self._mac(key))
        return known[1] if known is not None and self._clock() < known[0] else None

    def may_open(self, key: str) -> bool:
        """Whether a look-up may find it: it opened something before, or has the form of ours."""
        return self._mac(key) in self._known or is_ours(key)

    async def open(self, key: str) -> Access | None:
        """What ``key`` opens, or None: unknown, revoked and expired keys look alike."""
        access = self.known(key)
        if access is not None or not 0 < len(key) <= LONGEST_KEY:
            return access
        return await self._groups.submit(self._mac(key))

    def _mac(self, key: str) -> bytes:
        # By its MAC, although that costs a little: no key outlives its call in our memory.
        return mac_of(self._pepper, key) if len(key) <= LONGEST_KEY else b""

    async def _look_up(self, macs: Sequence[bytes]) -> list[Access | Exception | None]:
        asked = self._clock()
        async with self._pool.acquire() as conn:
            found = await resellers.get_accesses(conn, list(set(macs)))
        if len(self._known) + len(found) > _CACHED_KEYS:
            self._known.clear()
        for mac in macs:
            if mac in found:
                self._known[mac] = (asked + _remembered_seconds(found[mac]), found[mac])
            else:
                self._known.pop(mac, None)
        return [found.get(mac) for mac in macs]


def _remembered_seconds(access: Access) -> float:
    left = access.valid_seconds
    return CACHE_SECONDS if left is None else min(CACHE_SECONDS, left)
