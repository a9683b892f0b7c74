"""Services as commands print them."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalogue.pricing import PriceRules, dearest_route, price_of, why_not_for_sale
from gateway.cli.session import show
from gateway.store import prices, resellers
from gateway.store.connection import Connection
from schemas.catalogue import Service
from schemas.money import format_amount

EVERYBODY = "all"


@dataclass(frozen=True, slots=True)
class Terms:
    """What makes a service's price, and whom it is for."""

    rules: PriceRules
    audiences: Mapping[int, frozenset[int]]
    names: Mapping[int, str]


async def read_terms(conn: Connection) -> Terms:
    """All terms, as they are now."""
    return Terms(
        PriceRules(await prices.list_price_rules(conn)),
        await prices.list_audiences(conn),
        {r.id: r.name for r in await resellers.list_resellers(conn)},
    )


def brief(service: Service, terms: Terms) -> dict[str, object]:
    """A service as it stands in a list, at the rate for everybody."""
    price = price_of(service, terms.rules)
    return {
        "service": service.id,
        "name": service.name,
        "type": service.type,
        "category": service.category,
        "rate": format_amount(price.rate) if price else None,
        "min": str(service.minimum),
        "max": str(service.maximum),
        "dripfeed": service.dripfeed,
        "enabled": service.enabled,
        "refill": service.refill,
        "refill_days": service.refill_days,
        "cancel": service.cancel,
        "disabled_reason": service.disabled_reason,
        "not_for_sale": why_not_for_sale(service, terms.rules),
        "routes": [
            {
                "provider": route.provider,
                "upstream_service": route.upstream_service,
                "cost": format_amount(route.cost),
            }
            for route in service.routes
        ],
    }


def in_words(row: Mapping[str, object], service: Service) -> dict[str, object]:
    """A row for people: its routes as short texts."""
    routes = [
        f"{r.provider} {r.upstream_service} at {format_amount(r.cost)}" for r in service.routes
    ]
    return {**row, "routes": routes}


def show_service(arguments: argparse.Namespace, service: Service, terms: Terms) -> None:
    """Print all that there is to say of a service."""
    row = full(service, terms)
    show(arguments, row if arguments.json else in_words(row, service))


def full(service: Service, terms: Terms) -> dict[str, object]:
    """All that there is to say of a service."""
    audience = terms.audiences.get(service.id)
    visible = [terms.names[r] for r in sorted(audience)] if audience else [EVERYBODY]
    return {
        **brief(service, terms),
        "description": service.description,
        "position": service.position,
        "step": service.step,
        "keep_links": service.keep_links,
        "below_cost": service.below_cost,
        "visible_to": visible,
        "price": _price_words(service, terms),
        "margin": _margin(service, terms),
    }


def _price_words(service: Service, terms: Terms) -> str | None:
    price = price_of(service, terms.rules)
    if price is None:
        return None
    if price.rule is None:
        return "fixed"
    return f"{price.rule.markup.normalize():f}% on the cost (rule {price.rule.id})"


def _margin(service: Service, terms: Terms) -> str | None:
    """What is left of the general rate by the dearest route, per 1,000."""
    price, route = price_of(service, terms.rules), dearest_route(service)
    return format_amount(price.rate - route.cost) if price and route else None
