"""Secrets as they are stored: what they belong to, and their sealed form."""

from dataclasses import dataclass, field
from typing import NamedTuple


class SecretName(NamedTuple):
    """Which secret: that of the row ``owner_id`` of the table ``owner``, by what it is there.

    A sealed text opens under its own name only, so that nobody can move one to another row.
    """

    owner: str
    owner_id: int
    name: str

    def __str__(self) -> str:
        return f"{self.owner}:{self.owner_id}:{self.name}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed secret, and the id of the master key that opens it.

    ``key_id`` None is what an older version has left in plain text. Two with one ``version`` hold
    the same secret, whatever key sealed them; what is not stored yet has version 0.
    """

    key_id: str | None = field(compare=False)
    sealed: bytes = field(repr=False, compare=False)
    version: int = 0
