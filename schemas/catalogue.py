"""What we sell: services, and the routes that deliver them."""

from dataclasses import dataclass

from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class Service:
    """A service with the route that delivers it; ``rate`` and ``cost`` are per 1,000."""

    id: int
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
    provider_id: int
    provider: str
    upstream_service: str
    cost: Micros


@dataclass(frozen=True, slots=True)
class NewService:
    """A service as it is imported."""

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

    ``disabled_reason`` goes with ``enabled``.
    """

    name: str | None = None
    category: str | None = None
    rate: Micros | None = None
    minimum: int | None = None
    maximum: int | None = None
    enabled: bool | None = None
    disabled_reason: str | None = None
