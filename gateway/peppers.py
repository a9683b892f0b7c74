"""Peppers: what API keys are hashed with, kept outside the database, and exchanged in use."""

import hmac
from dataclasses import dataclass, field
from functools import lru_cache

_ID_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Peppers:
    """The pepper that new hashes are made with, and the one before while keys move over."""

    current: bytes = field(repr=False)
    old: bytes | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """What the current pepper is known by beside the hashes made with it."""
        return id_of(self.current)


def id_of(pepper: bytes) -> str:
    """What a pepper is known by in the database."""
    return hmac.digest(pepper, b"smm-gateway pepper id", "sha256").hex()[:_ID_CHARACTERS]


def mac_of(pepper: bytes, key: str) -> bytes:
    """What the database knows a key by."""
    # A copy of what is begun takes half the time of beginning, and every call pays for it.
    begun = _begun(pepper).copy()
    begun.update(key.encode("utf-8", "surrogatepass"))
    return begun.digest()


@lru_cache(maxsize=4)
def _begun(pepper: bytes) -> hmac.HMAC:
    return hmac.new(pepper, digestmod="sha256")
