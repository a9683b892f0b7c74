"""Resellers, their keys, and what a key opens."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from schemas.money import Micros

Network: TypeAlias = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What a key may do, and what an action needs: ``order`` includes ``read``."""

    READ = "read"
    ORDER = "order"


class DuplicatePolicy(StrEnum):
    """What an ``add`` without a name becomes while an identical order is open."""

    SAFE_RETRY = "safe_retry"
    REJECT_ACTIVE_LINK = "reject_active_link"
    ALLOW = "allow"


#: Stands for "no limit" where a number of requests a second is kept.
UNLIMITED = 0


@dataclass(frozen=True, slots=True)
class Reseller:
    """One of our customers, with the stored balance in micro-units of ``currency``.

    ``floor`` is what the balance may fall to: zero, or below it by the credit limit.
    ``request_limit`` is in requests a second for each key; None is the default of the settings.
    """

    id: int
    name: str
    email: str
    currency: str
    suspended: bool
    suspended_reason: str | None
    request_limit: int | None
    duplicates: DuplicatePolicy
    text_ids: bool
    post_only: bool
    balance: Micros
    floor: Micros


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key may do, from where, and until when.

    Without ``networks`` it may be used from anywhere; it is refused from ``expires_at`` on.
    """

    scope: Scope = Scope.ORDER
    networks: tuple[Network, ...] = ()
    expires_at: datetime | None = None


ANY_USE = KeyTerms()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it can still be shown: never its text, only its first characters."""

    id: int
    reseller: str
    hint: str
    terms: KeyTerms
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid key opens.

    ``valid_seconds`` is how long from the look-up on until the key expires. While ``paused``, no
    order is taken.
    """

    key_id: int
    reseller_id: int
    currency: str
    suspended: bool
    scope: Scope
    networks: tuple[Network, ...]
    valid_seconds: float | None
    request_limit: int | None
    duplicates: DuplicatePolicy
    text_ids: bool
    post_only: bool
    paused: bool = False


@dataclass(frozen=True, slots=True)
class OrderingStop:
    """Ordering that was stopped, of one ``reseller`` or, where that is None, of all."""

    reseller: str | None
    reason: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A valid key as it is found: by its MAC, or the one under the pepper before."""

    access: Access
    mac: bytes
    mac_before: bytes | None
    pepper_id: str | None
