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
from typing import NamedTuple

import structlog

from gateway.grouping import Groups
from gateway.peppers import Peppers, mac_of
from gateway.store import resellers
from gateway.store.connection import TRANSIENT, Connection, Pool
from schemas.resellers import Access, KnownKey

log = structlog.get_logger()

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


class _Macs(NamedTuple):
    """What a key is looked up by: its MACs under the current pepper and the old one, if any."""

    current: bytes
    old: bytes | None


class KeyRing:
    """Finds out what a key opens; remembers good keys for a few seconds, bad ones never.

    A key that is known by the old pepper is known by the new one from then on.
    """

    def __init__(
        self, pool: Pool, peppers: Peppers, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._peppers = peppers
        self._clock = clock
        self._known: dict[bytes, tuple[float, Access]] = {}
        self._groups: Groups[_Macs, Access | None] = Groups(self._look_up, largest=1000)

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
        old = self._peppers.old
        return await self._groups.submit(
            _Macs(self._mac(key), None if old is None else mac_of(old, key))
        )

    def _mac(self, key: str) -> bytes:
        # By its MAC, although that costs a little: no key outlives its call in our memory.
        return mac_of(self._peppers.current, key) if len(key) <= LONGEST_KEY else b""

    async def _look_up(self, asked: Sequence["_Macs"]) -> list[Access | Exception | None]:
        began = self._clock()
        every = {mac for macs in asked for mac in macs if mac is not None}
        async with self._pool.acquire() as conn:
            rows = await resellers.list_known_keys(conn, list(every))
            await self._move_over(conn, asked, rows)
        by_mac = {mac: row.access for row in rows for mac in (row.mac, row.mac_before) if mac}
        found = [by_mac.get(macs.current) or by_mac.get(macs.old or b"") for macs in asked]
        if len(self._known) + len(found) > _CACHED_KEYS:
            self._known.clear()
        for macs, access in zip(asked, found, strict=True):
            if access is not None:
                self._known[macs.current] = (began + _remembered_seconds(access), access)
            else:
                self._known.pop(macs.current, None)
        return list(found)

    async def _move_over(
        self, conn: Connection, asked: Sequence["_Macs"], rows: Sequence[KnownKey]
    ) -> None:
        """Let keys be known by the current pepper. Who cannot be moved now opens all the same."""
        current = {macs.old: macs.current for macs in asked if macs.old}
        ours = {macs.current for macs in asked}
        taken = {row.mac for row in rows}
        moved = {
            row.access.key_id: current[row.mac]
            for row in rows
            if row.mac in current and current[row.mac] not in taken
        }
        noted = {
            row.access.key_id: row.mac for row in rows if row.pepper_id is None and row.mac in ours
        }
        if not moved and not noted:
            return
        try:
            await resellers.set_key_macs(conn, moved | noted, self._peppers.id)
        except TRANSIENT as error:
            log.warning("keys.not_moved", reason=type(error).__name__)


def _remembered_seconds(access: Access) -> float:
    left = access.valid_seconds
    return CACHE_SECONDS if left is None else min(CACHE_SECONDS, left)
