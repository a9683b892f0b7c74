"""What a held change would do to our price and margin if it was approved. Pure."""

from dataclasses import dataclass, replace

from gateway.catalogue.pricing import PriceRules, price_of, sale_of
from schemas.catalogue import Route, Service
from schemas.changes import Change, ChangeKind
from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class Terms:
    """What a service costs everybody per 1,000, and what is left of it by the route concerned.

    None where it has no price; ``sold`` is whether it can be ordered.
    """

    rate: Micros | None
    margin: Micros | None
    sold: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """A price change: what the route cost before and costs now, and our terms either way."""

    cost_before: Micros
    cost_after: Micros
    now: Terms
    then: Terms


def effect_of(change: Change, service: Service | None, rules: PriceRules) -> Effect | None:
    """What approving does; None for a change that is about no price, or no route any more."""
    if change.kind is not ChangeKind.PRICE or service is None:
        return None
    route = next((route for route in service.routes if route.id == change.route_id), None)
    if route is None:
        return None
    free = replace(route, basis=None)
    approved = replace(
        service, routes=tuple(free if one.id == route.id else one for one in service.routes)
    )
    before = route.cost if route.basis is None else route.basis
    now, then = _terms(service, route, rules), _terms(approved, route, rules)
    return Effect(before, route.cost, now, then)


def _terms(service: Service, route: Route, rules: PriceRules) -> Terms:
    price = price_of(service, rules)
    if price is None:
        return Terms(None, None, sold=False)
    return Terms(price.rate, price.rate - route.cost, sold=sale_of(service, rules) is not None)
