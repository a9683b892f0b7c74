"""Provider accounts: as an operator describes them, and as the gateway keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.money import Micros
from schemas.operators import Role
from schemas.secrets import Sealed


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    """How an upstream is reached and worked with, its secrets open: only while it is needed."""

    name: str
    kind: str
    url: str
    key: str = field(repr=False)
    options: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """One upstream account, its secrets sealed: its ``key``, and the ``headers`` of its options.

    ``held_until`` lies ahead while nothing may be sent to it. ``paused_reason`` is an operator's:
    nothing is sent while there is one. ``balance`` is what the account held when it was last read,
    in its own currency.
    """

    id: int
    name: str
    kind: str
    url: str
    currency: str
    options: dict[str, Any]
    held_until: datetime | None
    held_reason: str | None
    holds: int
    paused_reason: str | None = None
    balance: Micros | None = None
    balance_at: datetime | None = None
    secrets: Mapping[str, Sealed] = field(default_factory=dict)
    alias: str | None = None

    def name_for(self, role: Role) -> str:
        """What an operator of that role sees: support staff never the name itself."""
        if role.covers(Role.MANAGER):
            return self.name
        return self.alias or f"provider {self.id}"
