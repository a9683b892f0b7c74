"""What we sell: services, and the routes that deliver them."""

from dataclasses import dataclass

from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class Route:
    """Who can deliver a service: one provider's service. ``cost`` is the house's per 1,000.

    The lowest ``priority`` is asked first; among equals ``weight`` is a route's share.
    """

    id: int
    service_id: int
    provider_id: int
    provider: str
    upstream_service: str
    cost: Micros
    priority: int
    weight: int
    enabled: bool
    disabled_reason: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service with the routes that deliver it, first choice first; ``rate`` is per 1,000."""

    id: int
    name: str
    type: str
    category: str
    description: str
    position: int
    rate: Micros
    minimum: int
    maximum: int
    step: int
    dripfeed: bool
    refill: bool
    cancel: bool
    refill_days: int | None  # after an order's end; None is no limit
    keep_links: bool
    below_cost: bool
    enabled: bool
    disabled_reason: str | None
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class NewService:
    """A service as it is imported, with its first route."""

    upstream_service: str
    name: str
    type: str
    category: str
    rate: Micros
    minimum: int
    maximum: int
    dripfeed: bool
    refill: bool
    cancel: bool
    enabled: bool
    disabled_reason: str | None
    cost: Micros


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What to change of a service; None leaves a field as it is.

    ``disabled_reason`` goes with ``enabled``; ``refill_days`` 0 takes the limit away.
    """

    name: str | None = None
    category: str | None = None
    rate: Micros | None = None
    minimum: int | None = None
    maximum: int | None = None
    enabled: bool | None = None
    disabled_reason: str | None = None
    refill: bool | None = None
    cancel: bool | None = None
    refill_days: int | None = None
    dripfeed: bool | None = None


@dataclass(frozen=True, slots=True)
class NewRoute:
    """A further route of a service; ``cost`` is per 1,000 in the house currency."""

    service_id: int
    provider_id: int
    upstream_service: str
    cost: Micros
    priority: int
    weight: int


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What to change of a route; None leaves a field as it is.

    ``disabled_reason`` goes with ``enabled``.
    """

    priority: int | None = None
    weight: int | None = None
    enabled: bool | None = None
    disabled_reason: str | None = None
