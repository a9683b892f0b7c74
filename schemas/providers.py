"""Provider accounts as the gateway keeps them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """One upstream account. ``held_until`` lies ahead while nothing may be sent to it.

    ``paused_reason`` is an operator's: nothing is sent while there is one. ``balance`` is what the
    account held when it was last read, in its own currency.
    """

    id: int
    name: str
    kind: str
    url: str
    key: str = field(repr=False)
    currency: str
    options: dict[str, Any]
    held_until: datetime | None
    held_reason: str | None
    holds: int
    paused_reason: str | None = None
    balance: Micros | None = None
    balance_at: datetime | None = None
