"""What upstreams change in their catalogues, and what became of each change."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class ChangeKind(StrEnum):
    """What an upstream did to one of its services."""

    PRICE = "price"
    LIMITS = "limits"
    RENAMED = "renamed"
    VANISHED = "vanished"
    RETURNED = "returned"
    NEW = "new"
    TYPE_CHANGED = "type_changed"
    FLAGS = "flags"
    REFUSED = "refused"  # the row is still there and cannot be sold as it is


class ChangeState(StrEnum):
    """What became of a change. ``held`` ones wait for an operator."""

    APPLIED = "applied"
    HELD = "held"
    APPROVED = "approved"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change that a sync found; ``before`` and ``after`` are words of its kind.

    Prices are costs per 1,000 in the house currency.
    """

    service_id: int | None
    route_id: int | None
    upstream_service: str
    kind: ChangeKind
    before: str | None
    after: str | None
    state: ChangeState
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change as it is kept."""

    id: int
    provider_id: int
    provider: str
    service_id: int | None
    route_id: int | None
    upstream_service: str
    kind: ChangeKind
    before: str | None
    after: str | None
    state: ChangeState
    why: str | None
    at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What an upstream said of a route's service when that was last taken over.

    ``rate`` is in the account's currency; ``off`` is why a sync switched the route off.
    """

    route_id: int
    name: str
    rate: Decimal
    minimum: int
    maximum: int
    refill: bool
    cancel: bool
    off: str | None = None


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """Where a provider's catalogue stands: what the last good one had, and the last failure."""

    provider_id: int
    provider: str
    good_at: datetime | None
    rows: int
    known: frozenset[str]
    failure: str | None
