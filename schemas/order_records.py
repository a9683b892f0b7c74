"""Orders and their attempts as operators look at them."""

from dataclasses import dataclass
from datetime import datetime

from schemas.money import Micros
from schemas.orders import AttemptState, OrderState, WireStatus
from schemas.upstream import RefusalGroup


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order with everything that operators look at."""

    id: int
    reseller: str
    service_id: int
    service_type: str
    provider: str
    upstream_service: str
    upstream_id: str | None
    external_id: str | None
    state: OrderState
    attempts: int
    link: str
    quantity: int
    charge: Micros
    refunded: Micros
    currency: str
    start_count: int | None
    remains: int | None
    wire_status: WireStatus
    wire_charge: Micros
    wire_remains: int
    created_at: datetime
    updated_at: datetime
    parent_id: int | None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One submission of an order, as operators see it. ``refusal`` is whom a refusal concerned."""

    number: int
    provider: str
    state: AttemptState
    upstream_id: str | None
    reason: str | None
    http_status: int | None
    started_at: datetime
    finished_at: datetime | None
    refusal: RefusalGroup | None
