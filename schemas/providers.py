"""Provider accounts as the gateway keeps them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """One upstream account. ``held_until`` lies ahead while nothing may be sent to it."""

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
