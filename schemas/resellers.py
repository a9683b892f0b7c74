"""Resellers, their keys, and what a key opens."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.money import Micros


class DuplicatePolicy(StrEnum):
    """What an ``add`` without a name becomes while an identical order is open."""

    SAFE_RETRY = "safe_retry"
    REJECT_ACTIVE_LINK = "reject_active_link"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Reseller:
    """One of our customers, with the stored balance in micro-units of ``currency``."""

    id: int
    name: str
    email: str
    currency: str
    suspended: bool
    balance: Micros


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it can still be shown: never its text, only its first characters."""

    id: int
    reseller: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid key opens."""

    key_id: int
    reseller_id: int
    currency: str
    suspended: bool
    duplicates: DuplicatePolicy
