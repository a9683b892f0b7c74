"""What a service costs a reseller: its fixed rate or its price rule, and the guard below both.

A rate that follows a rule is made from the dearest route that is on: an order may end up on any of
them, so only that one covers every way it can go. Whatever a rate was made from, a route that asks
more than it is not used for that reseller, and a service without usable routes is not for sale.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from schemas.catalogue import PriceRule, Route, Scope, Service
from schemas.money import RATE_STEP, BadAmount, Micros, rate_above

#: Which of reseller, service, category and provider a rule names, from the most specific on: a
#: reseller weighs more than a service, a service than a category, a category than a provider.
_SHAPES = tuple(product((True, False), repeat=4))


class PriceRules:
    """All rules, ready to be asked which one counts."""

    def __init__(self, rules: Iterable[PriceRule]) -> None:
        self.all = tuple(rules)
        self._by_scope: dict[Scope, PriceRule] = {rule.scope: rule for rule in self.all}
        used = {tuple(part is not None for part in scope) for scope in self._by_scope}
        self._shapes = tuple(shape for shape in _SHAPES if shape in used)

    def find(self, service: Service, provider_id: int, reseller_id: int | None) -> PriceRule | None:
        """The rule that counts where a price is made from this provider's cost."""
        for by_reseller, by_service, by_category, by_provider in self._shapes:
            if by_reseller and reseller_id is None:
                continue
            rule = self._by_scope.get(
                (
                    reseller_id if by_reseller else None,
                    service.id if by_service else None,
                    service.category if by_category else None,
                    provider_id if by_provider else None,
                )
            )
            if rule is not None:
                return rule
        return None


@dataclass(frozen=True, slots=True)
class Price:
    """What a reseller pays per 1,000, and how that came about.

    ``route`` is what it was made from and ``rule`` how; both are None for a fixed rate.
    """

    rate: Micros
    rule: PriceRule | None = None
    route: Route | None = None


def dearest_route(service: Service) -> Route | None:
    """The route that is on whose cost makes the price; None when none is on."""
    on = [route for route in service.routes if route.enabled]
    return max(on, key=_basis, default=None)


def _basis(route: Route) -> Micros:
    return route.cost if route.basis is None else route.basis


def price_of(service: Service, rules: PriceRules, reseller_id: int | None = None) -> Price | None:
    """A service's price for a reseller, or for everybody; None when it has none.

    A fixed rate counts for everybody but those whom a rule names together with the service.
    """
    route = dearest_route(service)
    rule = rules.find(service, route.provider_id, reseller_id) if route is not None else None
    if not service.follows and not (rule and rule.reseller_id and rule.service_id):
        return Price(service.rate)
    if route is None or rule is None:
        return None
    try:
        rate = rate_above(_basis(route), rule.markup, rule.step or RATE_STEP)
    except BadAmount:
        return None
    return Price(rate, rule, route)


def usable_routes(service: Service, price: Price) -> tuple[Route, ...]:
    """The routes that are on and that the price covers; all that are on for a marked service.

    A fixed rate must be above the cost: a rule may be set to sell at cost, but an upstream's rise
    to a fixed rate is the end of its margin.
    """
    fixed = price.rule is None
    return tuple(
        route
        for route in service.routes
        if route.enabled and (service.below_cost or route.cost < price.rate + (0 if fixed else 1))
    )


def sale_of(
    service: Service, rules: PriceRules, reseller_id: int | None = None
) -> tuple[Micros, tuple[Route, ...]] | None:
    """The rate and usable routes of a service that is sold to a reseller; None if it is not.

    Who may see it is not looked at here.
    """
    price = price_of(service, rules, reseller_id) if service.enabled else None
    routes = usable_routes(service, price) if price is not None else ()
    return (price.rate, routes) if price is not None and routes else None


def offered(service: Service, rules: PriceRules, reseller_id: int | None = None) -> Service | None:
    """The service as it is sold to a reseller, with its rate and usable routes; None if not."""
    sale = sale_of(service, rules, reseller_id)
    if sale is None:
        return None
    rate, routes = sale
    if rate == service.rate and len(routes) == len(service.routes):
        return service
    return replace(service, rate=rate, routes=routes)


def why_not_for_sale(service: Service, rules: PriceRules) -> str | None:
    """Why nobody can order the service at its general price, in words; None when it is for sale."""
    if not service.enabled:
        return service.disabled_reason or "switched off"
    route = dearest_route(service)
    if route is None:
        reasons = {r.disabled_reason for r in service.routes if r.disabled_reason}
        return "no route is on" + (f": {', '.join(sorted(reasons))}" if reasons else "")
    price = price_of(service, rules)
    if price is None:
        return "its cost gives no price that can be sold"
    if usable_routes(service, price):
        return None
    if any(route.basis is not None for route in service.routes):
        return "its cost is above its price, and the change waits for review"
    return "its cost has reached its price"
