"""What resellers ask of orders that they have placed: refills and cancellations."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RefillState(StrEnum):
    """Where a refill is. The words are the same in the database, the CLI, logs and metrics."""

    REQUESTED = "requested"  # accepted, not sent
    SENDING = "sending"  # claimed: its request may be on the wire
    UNKNOWN = "unknown"  # the upstream may have taken it, nothing proves either: never sent again
    PLACED = "placed"  # the upstream took it
    IN_PROGRESS = "in_progress"  # the upstream works on it
    COMPLETED = "completed"  # end
    REJECTED = "rejected"  # end: there will be no refill
    FAILED = "failed"  # end: the upstream says "Error"


#: What resellers are told, in the reference's spelling.
REFILL_WORDS: dict[RefillState, str] = {
    RefillState.REQUESTED: "Pending",
    RefillState.SENDING: "Pending",
    RefillState.UNKNOWN: "Pending",
    RefillState.PLACED: "Pending",
    RefillState.IN_PROGRESS: "In progress",
    RefillState.COMPLETED: "Completed",
    RefillState.REJECTED: "Rejected",
    RefillState.FAILED: "Error",
}
FINAL_REFILL_STATES = frozenset({RefillState.COMPLETED, RefillState.REJECTED, RefillState.FAILED})
OPEN_REFILL_STATES = frozenset(RefillState) - FINAL_REFILL_STATES


class CancelState(StrEnum):
    """What became of a request to cancel an order; what became of the order, the order says."""

    REQUESTED = "requested"  # stored: asked once the order is known to run upstream
    TAKEN = "taken"  # by the upstream, or by us before the order was sent
    REFUSED = "refused"  # by the upstream; it may be requested again
    OVER = "over"  # the order ended before anybody was asked


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides whether an order can be refilled or canceled, beside the order itself.

    ``refill_days`` is how long after its end an order is refilled; None is no limit.
    """

    refill: bool
    refill_days: int | None
    cancel: bool
    ended_at: datetime | None
    refill_open: bool
    last_refill_at: datetime | None
    cancel_state: CancelState | None


@dataclass(frozen=True, slots=True)
class NewRefill:
    """A refill as it is accepted; ``upstream_order`` is the order's id at its upstream."""

    order_id: int
    reseller_id: int
    provider_id: int
    upstream_order: str


@dataclass(frozen=True, slots=True)
class ClaimedRefill:
    """A refill taken for sending; ``tries`` counts this one.

    ``claimed_at`` is on the database's clock: no other claim of this refill began then.
    """

    id: int
    order_id: int
    upstream_order: str
    tries: int
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class PolledRefill:
    """An open refill whose state is asked next."""

    id: int
    state: RefillState
    upstream_id: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class RefillChange:
    """What becomes of a refill. ``next_in`` is in milliseconds; None is never."""

    id: int
    state: RefillState
    upstream_id: str | None = None
    reason: str | None = None
    next_in: int | None = None


@dataclass(frozen=True, slots=True)
class RefillRecord:
    """A refill with everything that operators look at."""

    id: int
    order_id: int
    reseller: str
    provider: str
    state: RefillState
    upstream_id: str | None
    reason: str | None
    tries: int
    requested_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClaimedCancel:
    """An order that its upstream is asked to cancel; ``tries`` counts this one."""

    order_id: int
    upstream_id: str
    tries: int


@dataclass(frozen=True, slots=True)
class CancelChange:
    """What an upstream's answer makes of a request. ``next_in`` is in milliseconds."""

    order_id: int
    tries: int
    state: CancelState
    reason: str | None = None
    next_in: int = 0


@dataclass(frozen=True, slots=True)
class CancelRecord:
    """The newest request to cancel an order, as operators see it."""

    state: CancelState
    reason: str | None
    tries: int
    requested_at: datetime
