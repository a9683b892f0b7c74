"""Orders that are delivered in parts: the plan of the parent, and its parts."""

from dataclasses import dataclass
from datetime import datetime

from schemas.money import Micros
from schemas.orders import FINAL_STATES, OrderState, PlannedRoute, WireStatus


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a parent is delivered, as it was read in a transaction of ``now``, the database's time.

    ``interval_minutes`` is None where the upstream makes the parts (a subscription), and
    ``next_run_at`` when we make no further run. ``busy`` says that a part of another parent is
    open for the same reseller, service and link.
    """

    order_id: int
    runs: int
    interval_minutes: int | None
    next_run_at: datetime | None
    service_id: int
    link: str
    busy: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One part of a parent: the order that delivers a run of a drip-feed or one post."""

    parent_id: int
    number: int  # 1, 2, 3 …
    order_id: int
    upstream_id: str | None
    state: OrderState
    quantity: int
    charge: Micros
    refunded: Micros
    remains: int | None
    wire_status: WireStatus

    @property
    def open(self) -> bool:
        """Whether it may still deliver."""
        return self.state not in FINAL_STATES


@dataclass(frozen=True, slots=True)
class NewRun:
    """A part to be made; ``upstream_id`` names it where the upstream has made it already.

    ``route`` is where it is to be sent; None is where its parent was planned for.
    """

    parent_id: int
    number: int
    order_id: int
    charge: Micros
    upstream_id: str | None = None
    route: PlannedRoute | None = None

    @property
    def provider_id(self) -> int | None:
        """Where it is to be sent."""
        return self.route.provider_id if self.route else None

    @property
    def upstream_service(self) -> str | None:
        """What is ordered there."""
        return self.route.upstream_service if self.route else None

    @property
    def cost(self) -> Micros | None:
        """What we expect to pay there; None is its share of the parent's cost."""
        return self.route.cost if self.route else None

    @property
    def below_cost(self) -> bool:
        """Whether paying more there than the charge is meant."""
        return self.route is not None and self.route.below_cost
