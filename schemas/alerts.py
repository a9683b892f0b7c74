"""Alerts: the trouble that the gateway tells operators of by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AlertKind(StrEnum):
    """What is wrong. Each is a section of ``docs/runbook.md``, under this name."""

    PROVIDER_DOWN = "provider-down"
    PROVIDER_OUT_OF_FUNDS = "provider-out-of-funds"
    ORDERS_NEED_A_PERSON = "orders-need-a-person"
    STUCK_ORDERS = "stuck-orders"
    AUDIT_FAILURE = "audit-failure"
    BACKUP_TOO_OLD = "backup-too-old"
    SPOOL_HOLDS_ENTRIES = "spool-holds-entries"
    CONTRADICTION = "contradiction"
    ORDERING_STOPPED = "ordering-stopped"


class AlertEvent(StrEnum):
    """Why a message is sent."""

    OPEN = "open"
    STILL_OPEN = "still_open"
    OVER = "over"
    TEST = "test"  # an operator tries a channel


class Channel(StrEnum):
    """How operators are reached."""

    TELEGRAM = "telegram"
    EMAIL = "email"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Alert:
    """Trouble since a time. ``subject`` is a provider's name, empty where there is one of a kind.

    ``told_at`` is when operators were last told, ``gone_at`` since when it is not seen any more.
    """

    kind: AlertKind
    subject: str
    summary: str
    since: datetime
    told_at: datetime | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One line to operators; ``id`` stays the same over repeated tries.

    ``recipients`` are those of a channel who are still to get it, None is all.
    """

    id: str
    kind: AlertKind
    subject: str
    event: AlertEvent
    summary: str
    since: datetime
    at: datetime
    tries: int = 0
    recipients: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that a channel has not taken yet, and why not, where it was tried."""

    channel: Channel
    kind: AlertKind
    subject: str
    event: AlertEvent
    tries: int
    failure: str | None
