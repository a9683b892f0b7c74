"""Routes: which provider is to deliver an order, and what that is expected to cost."""

from schemas.catalogue import Route, Service
from schemas.money import Micros, charge_of
from schemas.services import SERVICE_TYPES, Pricing


def first_route(service: Service) -> Route:
    """The route that is asked first.

    Raises:
        ValueError: when nobody is there to deliver the service.
    """
    for route in service.routes:
        if route.enabled:
            return route
    raise ValueError(f"service {service.id} has no route that is on")


def cost_of(service: Service, route: Route, quantity: int) -> Micros:
    """What an order of ``quantity`` pieces is expected to cost us by this route."""
    per_order = SERVICE_TYPES[service.type].pricing is Pricing.PER_ORDER
    if per_order or not route.cost:
        return route.cost
    return charge_of(route.cost, quantity)
