"""Orders: their states, the words that a reseller sees, and the moves that exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from schemas.money import Micros
from schemas.upstream import RefusalGroup

#: A route as orders and attempts name it: provider and the upstream's service.
RouteKey: TypeAlias = tuple[int, str]


class OrderState(StrEnum):
    """Where an order is. The words are the same in the database, the CLI, logs and metrics."""

    SCHEDULED = "scheduled"  # accepted and paid, delivered in runs that are orders of their own
    QUEUED = "queued"  # accepted and paid, not sent
    SENDING = "sending"  # an attempt is committed, its request may be on the wire
    UNKNOWN = "unknown"  # the upstream may have accepted it, nothing proves either
    REVIEW = "review"  # needs a person
    PLACED = "placed"  # the upstream's id is known
    IN_PROGRESS = "in_progress"  # the upstream works on it
    COMPLETED = "completed"  # end: the charge is kept
    PARTIAL = "partial"  # end: the undelivered part is refunded
    CANCELED = "canceled"  # end: everything is refunded
    FAILED = "failed"  # end: nobody took it, everything is refunded


FINAL_STATES = frozenset(
    {OrderState.COMPLETED, OrderState.PARTIAL, OrderState.CANCELED, OrderState.FAILED}
)
OPEN_STATES = frozenset(OrderState) - FINAL_STATES

#: Every move that exists (``reliability`` B3). What is not listed cannot happen; audit checks it.
MOVES: dict[OrderState, frozenset[OrderState]] = {
    OrderState.SCHEDULED: frozenset(
        {
            OrderState.SCHEDULED,  # no further runs
            OrderState.COMPLETED,
            OrderState.PARTIAL,
            OrderState.CANCELED,
        }
    ),
    OrderState.QUEUED: frozenset(
        {
            OrderState.QUEUED,  # another route
            OrderState.SENDING,
            OrderState.REVIEW,  # an earlier attempt was taken after all
            OrderState.CANCELED,
            OrderState.FAILED,
        }
    ),
    OrderState.SENDING: frozenset(
        {
            OrderState.PLACED,
            OrderState.QUEUED,
            OrderState.FAILED,
            OrderState.UNKNOWN,
            OrderState.REVIEW,
        }
    ),
    OrderState.UNKNOWN: frozenset({OrderState.PLACED, OrderState.QUEUED, OrderState.REVIEW}),
    OrderState.REVIEW: frozenset(
        {
            OrderState.PLACED,
            OrderState.QUEUED,
            OrderState.IN_PROGRESS,
            OrderState.COMPLETED,
            OrderState.PARTIAL,
            OrderState.CANCELED,
        }
    ),
    OrderState.PLACED: frozenset(
        {
            OrderState.IN_PROGRESS,
            OrderState.COMPLETED,
            OrderState.PARTIAL,
            OrderState.CANCELED,
            OrderState.REVIEW,
        }
    ),
    OrderState.IN_PROGRESS: frozenset(
        {OrderState.COMPLETED, OrderState.PARTIAL, OrderState.CANCELED, OrderState.REVIEW}
    ),
    OrderState.COMPLETED: frozenset({OrderState.PARTIAL, OrderState.CANCELED}),
    OrderState.PARTIAL: frozenset({OrderState.PARTIAL, OrderState.CANCELED}),
    OrderState.CANCELED: frozenset(),
    OrderState.FAILED: frozenset(),
}


class AttemptState(StrEnum):
    """What is known of one submission of an order to one provider."""

    INTENT = "intent"  # committed before the first byte leaves
    PLACED = "placed"  # the upstream answered with an id
    UNKNOWN = "unknown"  # it may have been accepted: frozen until proof
    REJECTED = "rejected"  # the upstream refused it in words that are known
    NOT_SENT = "not_sent"  # provably created nothing there: never sent, or found to be absent
    ABANDONED = "abandoned"  # given up by an operator, who paid back what it may still cost us


#: Attempts that may run upstream; an order has one at most.
LIVE_ATTEMPTS = frozenset({AttemptState.INTENT, AttemptState.PLACED, AttemptState.UNKNOWN})


class WireStatus(StrEnum):
    """The six words of the panel API, in the reference's spelling."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    IN_PROGRESS = "In progress"
    COMPLETED = "Completed"
    PARTIAL = "Partial"
    CANCELED = "Canceled"


FINAL_WORDS: dict[OrderState, WireStatus] = {
    OrderState.COMPLETED: WireStatus.COMPLETED,
    OrderState.PARTIAL: WireStatus.PARTIAL,
    OrderState.CANCELED: WireStatus.CANCELED,
    OrderState.FAILED: WireStatus.CANCELED,
}


class NewOrder(NamedTuple):
    """An order as intake accepts it, already priced and routed.

    ``rate`` is per 1,000, ``cost`` is what we expect to pay for the whole. ``runs`` is the number
    of parts that it is delivered in, if it is. With ``interval_minutes`` we make them, and
    the order is born ``scheduled``; without, the upstream does. ``below_cost`` says that selling
    for less is meant.

    A row of the database's type ``new_order``: the same columns in the same order.
    """

    id: int
    reseller_id: int
    service_id: int
    service_type: str
    provider_id: int
    upstream_service: str
    link: str
    quantity: int
    parameters: str | None  # JSON
    rate: Micros
    charge: Micros
    currency: str
    request_id: str
    cost: Micros
    runs: int | None = None
    interval_minutes: int | None = None
    below_cost: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An order as decisions see it, read under its row lock."""

    id: int
    reseller_id: int
    service_id: int
    service_type: str
    provider_id: int
    upstream_service: str
    upstream_id: str | None
    state: OrderState
    version: int
    attempts: int
    quantity: int
    rate: Micros  # per 1,000, as sold
    cost: Micros | None  # what we expect to pay for the whole by the planned route
    charge: Micros
    refunded: Micros
    currency: str
    start_count: int | None
    remains: int | None
    wire_status: WireStatus
    wire_charge: Micros
    wire_remains: int
    request_id: str
    created_at: datetime
    updated_at: datetime
    missing_since: datetime | None  # the upstream says since then that it does not have it
    parent_id: int | None = None  # the order that this one is a part of


class PlannedRoute(NamedTuple):
    """Where an order is to be sent, and what we expect to pay there for the whole.

    ``below_cost`` says that selling for less is meant.
    """

    provider_id: int
    upstream_service: str
    cost: Micros
    below_cost: bool


class QueuePlace(NamedTuple):
    """Where an order stands in the queue of its provider."""

    next_at: datetime
    order_id: int


class Tried(NamedTuple):
    """What an order has met at one route: whether it was refused for good, and how often not."""

    refused: bool
    times: int


NOT_TRIED = Tried(refused=False, times=0)


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What a decision makes of an order; written as a whole, together with its event and refund.

    ``cause`` names the move in the order's history; it is None when the state stays. ``next_in``
    is when the order needs to be looked at again, in milliseconds; None is never. ``missing``
    says that the upstream just denied having the order. ``route`` is where the order is sent from
    now on; None leaves that as it is. What the reseller pays does not depend on it.
    """

    order: Order
    state: OrderState
    cause: str | None
    refund: Micros
    upstream_id: str | None
    start_count: int | None
    remains: int | None
    wire_status: WireStatus
    wire_charge: Micros
    wire_remains: int
    next_in: int | None
    missing: bool = False
    route: PlannedRoute | None = None

    @property
    def provider_id(self) -> int:
        """Where the order is sent, or was."""
        return self.route.provider_id if self.route else self.order.provider_id

    @property
    def upstream_service(self) -> str:
        """What is ordered there."""
        return self.route.upstream_service if self.route else self.order.upstream_service

    @property
    def cost(self) -> Micros | None:
        """What we expect to pay there for the whole."""
        return self.route.cost if self.route else self.order.cost

    @property
    def below_cost(self) -> bool:
        """Whether it goes, from now on, where paying more than the charge is meant."""
        return self.route is not None and self.route.below_cost

    @property
    def moved(self) -> bool:
        """Whether the order's history grows."""
        return self.cause is not None


@dataclass(frozen=True, slots=True)
class ClaimedOrder:
    """An order taken for sending: its attempt is committed before the first byte leaves.

    ``rate`` is what it pays per 1,000, ``route_cost`` what its route now costs, None where the
    route is no more. ``below_cost`` says that its service is sold below cost on purpose.
    ``part_without_route`` is a part of a drip-feed whose route is off or no more, and
    ``type_changed`` an order whose service is of another type by now.
    """

    id: int
    version: int
    attempts: int  # including this one: the number of the attempt
    service_type: str
    upstream_service: str
    link: str
    quantity: int
    parameters: Mapping[str, str]
    request_id: str
    rate: Micros
    route_cost: Micros | None
    below_cost: bool
    started_at: datetime  # of the attempt, on the database's clock
    part_without_route: bool = False
    type_changed: bool = False


@dataclass(frozen=True, slots=True)
class PolledOrder:
    """An open order whose status is asked next."""

    id: int
    upstream_id: str


@dataclass(frozen=True, slots=True)
class NamedOrder:
    """An order that a reseller has placed under an external id; ``parameters`` is JSON.

    A ``young`` one may be visible before it is safe.
    """

    id: int
    service_id: int
    link: str
    quantity: int
    parameters: str | None
    runs: int | None
    interval_minutes: int | None
    young: bool = False


class OrderMark(NamedTuple):
    """What an order is recognised by when it is asked for again without a name.

    ``fingerprint`` is a hash, in 64 signed bits, of everything that was ordered.
    """

    reseller_id: int
    fingerprint: int
    order_id: int


@dataclass(frozen=True, slots=True)
class UnreceivedOrder:
    """An open order whose answer may not have reached its client.

    While it is ``fresh``, the process that answers it may still say otherwise.
    """

    mark: OrderMark
    fresh: bool


@dataclass(frozen=True, slots=True)
class ToldOrder:
    """An order as its reseller is told of it; ``wire_status`` is one of ``WireStatus``' words."""

    id: int
    wire_status: str
    wire_charge: Micros
    start_count: int | None
    wire_remains: int
    currency: str


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one submission ended, with the evidence that is kept.

    ``refusal`` is whom a refusal concerned. ``started_at`` tells the attempt from one of the same
    number before a restore; None where that is not known.
    """

    order_id: int
    number: int
    state: AttemptState
    upstream_id: str | None
    reason: str | None
    http_status: int | None
    body: str | None
    elapsed_ms: int | None
    started_at: datetime | None
    refusal: RefusalGroup | None = None


class Placement(NamedTuple):
    """An upstream order that is one of ours."""

    provider_id: int
    upstream_id: str
    order_id: int
