"""Routes: which provider is asked to deliver an order, and what that is expected to cost.

Everything here is pure. The same order, the same routes and the same standings give the same
choice, in every process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from schemas.catalogue import Route, Service
from schemas.money import Micros, charge_of
from schemas.orders import NOT_TRIED, RouteKey, Tried
from schemas.services import SERVICE_TYPES, Pricing

#: A provider with more orders waiting than it takes in so many minutes is crowded.
CROWDED_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """What a process knows of a provider; it may be a few seconds old.

    ``usable``: an order may be sent now. ``stuck``: the orders that wait there should not.
    ``balance`` is None where it was never read. ``adds_per_minute`` of 0 is no limit.
    """

    usable: bool = True
    stuck: bool = False
    balance: Micros | None = None
    waiting: int = 0
    adds_per_minute: int = 0

    @property
    def crowded(self) -> bool:
        """Whether a further order would wait for minutes."""
        return 0 < self.adds_per_minute * CROWDED_MINUTES < self.waiting


Standings: TypeAlias = Mapping[int, Standing]
_FINE = Standing()


class Want(NamedTuple):
    """An order as far as routes are concerned. ``rate`` is what it pays per 1,000.

    ``tried`` is what it has met at routes that it was sent to.
    """

    order_id: int
    quantity: int
    rate: Micros
    tried: Mapping[RouteKey, Tried] = MappingProxyType({})


def cost_of(service: Service, route: Route, quantity: int) -> Micros:
    """What an order of ``quantity`` pieces is expected to cost us by this route."""
    per_order = SERVICE_TYPES[service.type].pricing is Pricing.PER_ORDER
    if per_order or not route.cost:
        return route.cost
    return charge_of(route.cost, quantity)


def key_of(route: Route) -> RouteKey:
    """What tells routes of one service apart."""
    return route.provider_id, route.upstream_service


def is_too_dear(cost: Micros, rate: Micros, *, below_cost: bool) -> bool:
    """Whether an order that pays ``rate`` would be delivered at a loss that nobody wants."""
    return cost > rate and not below_cost


def is_open_to(service: Service, route: Route, want: Want) -> bool:
    """Whether the route may deliver this order at all, whatever its provider's standing."""
    return (
        route.enabled
        and not is_too_dear(route.cost, want.rate, below_cost=service.below_cost)
        and not want.tried.get(key_of(route), NOT_TRIED).refused
    )


def first_route(
    service: Service, order_id: int, quantity: int, rate: Micros, standings: Standings
) -> Route:
    """The route that a new order is planned for, which pays ``rate`` per 1,000.

    A service with one route has no choice: what is wrong with it is met when the order is sent.

    Raises:
        ValueError: when nobody is there to deliver the service.
    """
    routes = service.routes
    if len(routes) == 1 and routes[0].enabled:
        return routes[0]
    enabled = [route for route in service.routes if route.enabled]
    if not enabled:
        raise ValueError(f"service {service.id} has no route that is on")
    want = Want(order_id, quantity, rate)
    possible = [route for route in enabled if is_open_to(service, route, want)] or enabled
    return _best(service, _healthy(service, possible, want, standings) or possible, want, standings)


def next_route(
    service: Service, current: RouteKey, want: Want, standings: Standings, *, refused: bool = False
) -> Route | None:
    """The route that an order goes to after ``current`` did not take it; None to stay.

    Every route is asked once before one is asked again: while the current one may still be asked,
    only routes that this order has tried less often count, and only healthy ones. After a refusal
    for good (``refused``) the order goes to whatever is left, to wait there if it must.
    """
    others = [
        route
        for route in service.routes
        if key_of(route) != current and is_open_to(service, route, want)
    ]
    here = next((route for route in service.routes if key_of(route) == current), None)
    if not refused and here is not None and is_open_to(service, here, want):
        most = _times(want, current)
        others = [route for route in others if _times(want, key_of(route)) < most]
    healthy = _healthy(service, others, want, standings)
    if not healthy and not refused:
        return None
    left = healthy or others
    if not left:
        return None
    fewest = min(_times(want, key_of(route)) for route in left)
    fresh = [route for route in left if _times(want, key_of(route)) == fewest]
    return _best(service, fresh, want, standings)


def way_out(service: Service, current: RouteKey, want: Want, standings: Standings) -> Route | None:
    """A healthy route for an order that waits at a provider which cannot take it now."""
    others = [
        route
        for route in service.routes
        if route.provider_id != current[0] and is_open_to(service, route, want)
    ]
    healthy = _healthy(service, others, want, standings)
    return _best(service, healthy, want, standings) if healthy else None


def _times(want: Want, key: RouteKey) -> int:
    return want.tried.get(key, NOT_TRIED).times


def _healthy(
    service: Service, routes: Iterable[Route], want: Want, standings: Standings
) -> list[Route]:
    found = []
    for route in routes:
        standing = standings.get(route.provider_id, _FINE)
        balance = standing.balance
        if standing.usable and (
            balance is None or balance >= cost_of(service, route, want.quantity)
        ):
            found.append(route)
    return found


def _best(service: Service, routes: Sequence[Route], want: Want, standings: Standings) -> Route:
    """Of these, the first by priority; among equals by weight, crowded ones left aside."""
    first = min(route.priority for route in routes)
    equals = [route for route in routes if route.priority == first]
    roomy = [r for r in equals if not standings.get(r.provider_id, _FINE).crowded]
    return _drawn(roomy or equals, want.order_id)


def _drawn(routes: Sequence[Route], order_id: int) -> Route:
    """One of these by weight: the order's id decides, so that everybody draws the same."""
    if len(routes) == 1:
        return routes[0]
    ordered = sorted(routes, key=lambda route: route.id)
    total = sum(route.weight for route in ordered)
    # Multiplied by 2^32 over the golden ratio, ids that follow each other fall far apart.
    mark = (order_id * 2_654_435_769 % 2**32) * total >> 32
    for route in ordered:
        mark -= route.weight
        if mark < 0:
            return route
    return ordered[-1]
