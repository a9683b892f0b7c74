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

    async def open(self, key: str) -> Access | None:
        """What ``key`` opens, or None: unknown and revoked keys look alike."""
        if not 0 < len(key) <= LONGEST_KEY:
            return None
        # By its MAC, although that costs a little: no key outlives its call in our memory.
        mac = mac_of(self._pepper, key)
        known = self._known.get(mac)
        if known is not None and self._clock() < known[0]:
            return known[1]
        return await self._groups.submit(mac)

    async def _look_up(self, macs: Sequence[bytes]) -> list[Access | Exception | None]:
        async with self._pool.acquire() as conn:
            found = await resellers.get_accesses(conn, list(set(macs)))
        if len(self._known) + len(found) > _CACHED_KEYS:
            self._known.clear()
        until = self._clock() + CACHE_SECONDS
        for mac in macs:
            if mac in found:
                self._known[mac] = (until, found[mac])
            else:
                self._known.pop(mac, None)
        return [found.get(mac) for mac in macs]
