"""Orders of which nobody knows whether an upstream has them: what is known, and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.money import Micros
from schemas.orders import AttemptState, OrderState


@dataclass(frozen=True, slots=True)
class Doubt:
    """An attempt that may have been accepted.

    ``cost`` is what we expect that to cost, in the house currency. ``body`` is what was kept of
    the answer. ``open`` says that its order waits to be reconciled; the others are rivals for
    whatever is found: attempts on the wire, in review, and given up.
    """

    order_id: int
    attempt: int
    upstream_service: str
    service_type: str
    link: str
    quantity: int
    cost: Micros | None
    started_at: datetime
    doubted_at: datetime  # since when it was looked for
    body: str
    open: bool


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order of ours at its upstream. ``ended_at`` is when its attempt had its answer."""

    upstream_id: str
    order_id: int
    started_at: datetime
    ended_at: datetime
    cost: Micros | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What an account held at a moment between ``asked_at`` and ``at``."""

    asked_at: datetime
    at: datetime
    amount: Micros
    currency: str


class Finding(StrEnum):
    """What a look at a doubt comes to. The words are the same in the database, logs and metrics."""

    PLACED = "placed"  # the upstream has it, under a known id
    NOT_PLACED = "not_placed"  # the upstream provably does not have it
    REVIEW = "review"  # a person decides
    OPEN = "open"  # nothing is proved yet


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look decides about one order, and the evidence for it, which can be kept as JSON.

    ``cause`` names the move in the order's history; it is empty where nothing moves.
    """

    doubt: Doubt
    finding: Finding
    cause: str
    evidence: Mapping[str, Any]
    upstream_id: str | None = None


class Decision(StrEnum):
    """What an operator decides about an order in doubt or in review."""

    PLACED = "placed"  # the upstream has it, under this id
    NOT_PLACED = "not_placed"  # the upstream does not have it: it is sent
    CANCELED = "canceled"  # all is paid back; what may run upstream is at our cost
    COMPLETED = "completed"  # it was delivered, whatever the upstream says
    PARTIAL = "partial"  # a part of it was


@dataclass(frozen=True, slots=True)
class TriedAttempt:
    """One submission of an order, as the resolution of a doubt needs it.

    ``ours`` is False where the upstream gave it the id of another order of ours.
    """

    number: int
    provider_id: int
    upstream_service: str
    state: AttemptState
    upstream_id: str | None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class ResolutionRecord:
    """What an operator decided of an order."""

    version: int
    decision: Decision
    upstream_id: str | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LookRecord:
    """What the last look at a doubt found out."""

    looks: int
    verdict: Finding
    evidence: dict[str, Any]
    first_at: datetime
    looked_at: datetime


@dataclass(frozen=True, slots=True)
class DoubtfulOrder:
    """An order in doubt or in review, as operators see it. ``charge`` is the money tied up.

    ``look`` is what reconciliation found out of it, if it has looked. ``cause`` is that of its
    last move.
    """

    order_id: int
    state: OrderState
    reseller: str
    provider: str
    upstream_id: str | None
    link: str
    quantity: int
    charge: Micros
    currency: str
    cause: str
    since: datetime
    now: datetime
    look: LookRecord | None
