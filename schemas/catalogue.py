"""What we sell: services, the routes that deliver them, and the rules that make their prices."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from schemas.money import Micros

#: What a price rule names of reseller, service, category and provider.
Scope: TypeAlias = tuple[int | None, int | None, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Route:
    """Who can deliver a service: one provider's service. ``cost`` is the house's per 1,000.

    The lowest ``priority`` is asked first; among equals ``weight`` is a route's share. ``basis``
    is the cost that prices are still made from while a change of it waits for review.
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
    basis: Micros | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service with the routes that deliver it, first choice first; ``rate`` is per 1,000.

    Where it ``follows`` its price rule, ``rate`` is 0 until a catalogue has put a price on it.
    """

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
    follows: bool = False


@dataclass(frozen=True, slots=True)
class NewService:
    """A service as it is imported, with its first route; ``rate`` None follows its price rule.

    ``upstream_name`` and ``upstream_rate`` (in the account's currency) are what a sync compares
    with; without them the first sync takes down what it finds.
    """

    upstream_service: str
    name: str
    type: str
    category: str
    rate: Micros | None
    minimum: int
    maximum: int
    dripfeed: bool
    refill: bool
    cancel: bool
    enabled: bool
    disabled_reason: str | None
    cost: Micros
    upstream_name: str | None = None
    upstream_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What to change of a service; None leaves a field as it is.

    ``disabled_reason`` goes with ``enabled``; ``refill_days`` 0 takes the limit away; ``follow``
    gives up a fixed rate.
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
    description: str | None = None
    position: int | None = None
    step: int | None = None
    keep_links: bool | None = None
    below_cost: bool | None = None
    follow: bool = False


@dataclass(frozen=True, slots=True)
class PriceRule:
    """A markup in percent on the cost, for all that it does not name.

    ``step`` is what rates are rounded up to; None is the finest that the wire can show.
    """

    id: int
    markup: Decimal
    step: Micros | None = None
    provider_id: int | None = None
    category: str | None = None
    service_id: int | None = None
    reseller_id: int | None = None

    @property
    def scope(self) -> Scope:
        """What the rule names, which no two rules have in common."""
        return self.reseller_id, self.service_id, self.category, self.provider_id


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
