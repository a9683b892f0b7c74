"""How long a request to an upstream may take, and how large its answer may be."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a request may take, in seconds. ``connect`` includes the TLS handshake.

    Raises:
        ValueError: when a request could run out of time while it still connects, because that
            would look like an answer that got lost.
    """

    connect: float = 10
    add: float = 60
    read: float = 30
    services: float = 60

    def __post_init__(self) -> None:
        if not 0 < self.connect < min(self.add, self.read, self.services):
            raise ValueError("the connect timeout must be above 0 and below all others")


class Purpose(Enum):
    """What a request is for, and the largest answer that it may have, in bytes."""

    ADD = ("add", 64 * 1024)
    ACT = ("act", 1024 * 1024)  # refill, cancel: something happens upstream
    READ = ("read", 1024 * 1024)
    SERVICES = ("services", 32 * 1024 * 1024)

    @property
    def largest_answer(self) -> int:
        """In bytes, decompressed."""
        return self.value[1]

    @property
    def acts(self) -> bool:
        """Whether the upstream does something, so that a lost answer leaves a doubt."""
        return self is Purpose.ADD or self is Purpose.ACT
