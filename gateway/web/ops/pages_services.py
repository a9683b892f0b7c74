"""Services: what is sold, at which cost, price and margin, and who delivers it."""

from dataclasses import dataclass

from aiohttp import web

from gateway.catalogue.pricing import PriceRules, dearest_route, price_of, why_not_for_sale
from gateway.catalogue.routes import change_route
from gateway.catalogue.selling import change_service, find_service
from gateway.errors import UserError
from gateway.operators.acting import require_reason
from gateway.reports.speed import service_paces
from gateway.store import prices, services
from gateway.web.ops.fields import number_of, rate_of
from gateway.web.ops.upstream_words import service_without
from gateway.web.ops.visit import NotFound, Visit
from schemas.catalogue import PriceRule, RouteChange, Service, ServiceChange
from schemas.money import Micros

_HERE = "/ops/services"
_ROWS = 50
_SOLD = {"sold": "for sale", "unsold": "not for sale", "loss": "below cost"}
_LATELY_HOURS, _USUAL_DAYS = 24, 14


@dataclass(frozen=True, slots=True)
class Line:
    """A service as a list shows it, per 1,000: the dearest cost, everybody's rate, what is left.

    ``off`` is why it is not for sale, in words; None where it is.
    """

    service: Service
    cost: Micros | None
    rate: Micros | None
    rule: PriceRule | None
    off: str | None

    @property
    def margin(self) -> Micros | None:
        """What is left of the rate by the dearest route."""
        return None if self.rate is None or self.cost is None else self.rate - self.cost

    @property
    def loss(self) -> bool:
        """Whether less than nothing is left."""
        return self.margin is not None and self.margin < 0


def line_of(service: Service, rules: PriceRules) -> Line:
    """A service with its price."""
    price, route = price_of(service, rules), dearest_route(service)
    return Line(
        service,
        route.cost if route else None,
        price.rate if price else None,
        price.rule if price else None,
        why_not_for_sale(service, rules),
    )


def _meant(line: Line, text: str, category: str, provider: str, sold: str) -> bool:
    service = line.service
    fitting = {
        "": True,
        "sold": line.off is None,
        "unsold": line.off is not None,
        "loss": line.loss,
    }
    return (
        (not text or text in service.name.casefold() or text == str(service.id))
        and (not category or category == service.category)
        and (not provider or any(route.provider == provider for route in service.routes))
        and fitting.get(sold, True)
    )


async def show_all(visit: Visit) -> web.Response:
    """The services that are looked for."""
    query = visit.query
    asked = {name: query.text(name) for name in ("q", "category", "provider", "sold")}
    if not visit.names_providers:
        asked["provider"] = ""
    page = number_of(query, "page", "Page") or 0
    async with visit.services.pool.acquire() as conn:
        everything = [_shown(visit, one) for one in await services.list_services(conn)]
        rules = PriceRules(await prices.list_price_rules(conn))
    lines = [line_of(service, rules) for service in everything]
    found = [
        line
        for line in lines
        if _meant(line, asked["q"].casefold(), asked["category"], asked["provider"], asked["sold"])
    ]
    return await visit.page(
        "services.html",
        title="Services",
        asked=asked,
        lines=found[page * _ROWS : (page + 1) * _ROWS],
        number=len(found),
        page=page,
        more=len(found) > (page + 1) * _ROWS,
        total=len(lines),
        unsold=sum(line.off is not None for line in lines),
        losses=sum(line.loss for line in lines),
        categories=[("", "all"), *((c, c) for c in sorted({s.category for s in everything}))],
        sold_options=[("", "all"), *_SOLD.items()],
        providers=sorted({route.provider for s in everything for route in s.routes}),
        **await visit.provider_words(),
    )


async def _find(visit: Visit) -> Service:
    async with visit.services.pool.acquire() as conn:
        service = await services.get_service(conn, visit.number())
    if service is None:
        raise NotFound("There is no such service.")
    return _shown(visit, service)


def _shown(visit: Visit, service: Service) -> Service:
    return service if visit.names_providers else service_without(service)


async def show(visit: Visit) -> web.Response:
    """One service with its routes and price."""
    service = await _find(visit)
    async with visit.services.pool.acquire() as conn:
        every = await prices.list_price_rules(conn)
        paces = await service_paces(conn, lately_hours=_LATELY_HOURS, usual_days=_USUAL_DAYS)
    line = line_of(service, PriceRules(every))
    return await visit.page(
        "service.html",
        title=service.name,
        line=line,
        service=service,
        rules=[rule for rule in every if rule.service_id == service.id],
        pace=next((pace for pace in paces if pace.service_id == service.id), None),
        **await visit.provider_words(),
    )


async def change(visit: Visit) -> web.Response:
    """Switch a service on or off, or give it another price."""
    number, form = visit.number(), visit.form

    async def work() -> str:
        require_reason(visit.warrant())
        rate, pricing = rate_of(form, "rate", "Price"), form.text("pricing")
        if pricing == "fixed" and rate is None:
            raise UserError("write the fixed price per 1,000")
        enabled = {"on": True, "off": False}.get(form.text("enabled"))
        wanted = ServiceChange(
            enabled=enabled,
            disabled_reason="switched off by an operator" if enabled is False else None,
            rate=rate if pricing == "fixed" else None,
            follow=pricing == "rule",
        )
        done = await change_service(visit.services.pool, number, lambda _: wanted, visit.warrant())
        return f"{done.name} is changed."

    return await visit.act(f"{_HERE}/{number}", work)


async def set_route(visit: Visit) -> web.Response:
    """Switch a route on or off, or give it another rank."""
    number, route_id, form = visit.number(), visit.number("route"), visit.form

    async def work() -> str:
        require_reason(visit.warrant())
        async with visit.services.pool.acquire() as conn:
            service = await find_service(conn, number)
        if route_id not in {route.id for route in service.routes}:
            raise UserError(f"service {number} has no route {route_id}")
        enabled = form.text("enabled") == "on"
        wanted = RouteChange(
            priority=number_of(form, "priority", "Priority"),
            weight=number_of(form, "weight", "Weight"),
            enabled=enabled,
            disabled_reason=None if enabled else "switched off by an operator",
        )
        await change_route(visit.services.pool, route_id, wanted, visit.warrant())
        return f"Route {route_id} is changed."

    return await visit.act(f"{_HERE}/{number}", work)


async def show_speed(visit: Visit) -> web.Response:
    """How fast services are lately, those that have slowed first."""
    async with visit.services.pool.acquire() as conn:
        paces = await service_paces(conn, lately_hours=_LATELY_HOURS, usual_days=_USUAL_DAYS)
    only = visit.query.text("only") == "slower"
    return await visit.page(
        "speed.html",
        title="Service speed",
        paces=[pace for pace in paces if pace.slower or not only],
        slower=sum(pace.slower for pace in paces),
        only=only,
        hours=_LATELY_HOURS,
        days=_USUAL_DAYS,
    )


ROUTES = (
    ("GET", _HERE, show_all),
    ("GET", _HERE + "/{id}", show),
    ("POST", _HERE + "/{id}", change),
    ("POST", _HERE + "/{id}/routes/{route}", set_route),
    ("GET", "/ops/speed", show_speed),
)
