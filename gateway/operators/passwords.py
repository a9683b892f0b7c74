"""Passwords of operators: which are taken, and how they are kept.

bcrypt at cost 12, in a thread, because it takes a quarter of a second of work by design. It knows
72 bytes; a longer password is refused, not cut. The rules are ASVS 5.0 V6.2: length counts, and
what everybody tries first is refused; no rules of composition.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from itertools import pairwise

import bcrypt

from gateway.errors import UserError

SHORTEST = 12
_LONGEST_BYTES = 72
COST = 12
_FEWEST_DIFFERENT = 5
#: Strangers who may wait for their turn: some seconds of work.
_MOST_WAITING = 20

_COMMON = frozenset(
    files("gateway.operators").joinpath("common_passwords.txt").read_text("utf-8").split()
)
#: Compared with where there is no account, so that both answers take the same time.
_NOBODYS = "$2b$12$la7aHVYmtVS50YysKSjvKu.wnkessuz/ShotHM0xkCtmVL5cM.hdC"


class BadPassword(UserError):
    """A password that cannot be set; the message says why."""


class TooManyStrangers(UserError):
    """So many strangers try passwords just now that another one would wait too long."""


def require_good(password: str, name: str) -> None:
    """Raise BadPassword unless this may be the password of the operator ``name``."""
    if len(password) < SHORTEST:
        raise BadPassword(f"a password has at least {SHORTEST} characters: take a few words")
    if len(password.encode()) > _LONGEST_BYTES or "\0" in password:
        raise BadPassword(f"a password has at most {_LONGEST_BYTES} bytes: take a shorter one")
    plain = password.casefold().replace(" ", "")
    if len(set(plain)) < _FEWEST_DIFFERENT or plain in _COMMON or _is_run(plain):
        raise BadPassword("this password is among the first that are tried: take another one")
    if name.casefold() in plain and len(plain) - len(name) < SHORTEST - 4:
        raise BadPassword("this password is little more than your name: take another one")


def _is_run(text: str) -> bool:
    """Whether a text repeats a short piece, or counts up or down."""
    repeats = any(
        text == (text[:size] * len(text))[: len(text)] for size in range(1, len(text) // 2 + 1)
    )
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return repeats or steps in ({1}, {-1})


class Passwords:
    """Hashes and checks passwords without keeping the process from other work.

    One at a time for strangers and one for who is known, who never waits for a stranger: hashing
    more at once would only make each slower.
    """

    def __init__(self) -> None:
        self._known = asyncio.Semaphore(1)
        self._strangers = asyncio.Semaphore(1)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._known:
            salt = bcrypt.gensalt(COST)
            hashed = await asyncio.to_thread(bcrypt.hashpw, password.encode(), salt)
        return hashed.decode()

    async def matches(self, password: str, hashed: str | None, *, known: bool = True) -> bool:
        """Whether a password is the one that was kept; False, as slowly, where none was.

        Raises:
            TooManyStrangers: for who is not ``known``, when many others wait.
        """
        given = password.encode("utf-8", "surrogatepass")
        possible = len(given) <= _LONGEST_BYTES and b"\0" not in given and hashed is not None
        kept = (hashed or _NOBODYS).encode()
        async with self._known if known else self._place():
            same = await asyncio.to_thread(bcrypt.checkpw, given if possible else b"-", kept)
        return same and possible

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= _MOST_WAITING:
            raise TooManyStrangers("many sign in just now: try again in a moment")
        self._waiting += 1
        try:
            async with self._strangers:
                yield
        finally:
            self._waiting -= 1
