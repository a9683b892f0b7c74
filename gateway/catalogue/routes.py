"""Further routes of a service: how operators make, change and remove them."""

from decimal import Decimal

from gateway.catalogue.planning import judged
from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.store import routes as store
from gateway.store import services
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import NewRoute, Route, RouteChange, Service
from schemas.money import Micros, format_amount
from schemas.operators import Subject, Warrant, differences
from schemas.upstream import UpstreamCatalogue


def find_offer(
    catalogue: UpstreamCatalogue,
    upstream_service: str,
    service: Service,
    provider: str,
    exchange: Decimal,
) -> Micros:
    """What a provider asks for the service that it calls ``upstream_service``, per 1,000.

    ``exchange`` is what one unit of the provider's currency is worth in the house's.

    Raises:
        UserError: when it does not offer it, sells something else, or at no usable price.
    """
    offers = judged(catalogue, exchange)
    offer = offers.sound.get(upstream_service)
    if offer is None:
        refused = next((r for r in offers.refused if r.service == upstream_service), None)
        why = f": {refused.reason}" if refused else ""
        raise UserError(f"{provider} offers no usable service {upstream_service}{why}")
    row = offer.row
    if row.type != service.type:
        raise UserError(
            f"{upstream_service} at {provider} is of type {row.type}, service {service.id} of "
            f"type {service.type}: a route must deliver the same"
        )
    return offer.cost


async def make_route(pool: Pool, route: NewRoute, warrant: Warrant) -> Route:
    """Let one more provider's service deliver a service.

    Raises:
        UserError: when it does so already.
    """
    async with pool.acquire() as conn, transaction(conn):
        made = await store.insert_route(conn, route)
        if made is None:
            raise UserError(
                f"service {route.service_id} has this route already: see "
                f"`smm-gateway route list {route.service_id}`"
            )
        added = await _find(conn, made)
        await record(conn, warrant.act("route.added", _subject(made), after=_fields(added)))
        return added


def _subject(route_id: int) -> Subject:
    return Subject("route", str(route_id))


def _fields(route: Route) -> dict[str, object]:
    return {
        "service": route.service_id,
        "provider": route.provider,
        "upstream_service": route.upstream_service,
        "cost": format_amount(route.cost),
        "priority": route.priority,
        "weight": route.weight,
        "enabled": route.enabled,
    }


async def change_route(pool: Pool, route_id: int, change: RouteChange, warrant: Warrant) -> Route:
    """Change a route; orders that already wait for it are not concerned.

    Raises:
        UserError: when there is no such route.
    """
    async with pool.acquire() as conn, transaction(conn):
        before = await _find(conn, route_id)
        await store.set_route(conn, route_id, change)
        changed = await _find(conn, route_id)
        was, now = differences(_fields(before), _fields(changed))
        if now:
            act = warrant.act("route.changed", _subject(route_id), before=was, after=now)
            await record(conn, act)
        return changed


async def remove_route(pool: Pool, route_id: int, warrant: Warrant) -> None:
    """Remove a route; orders that already wait for it are still sent there.

    Raises:
        UserError: when there is no such route, or nobody else delivers a service that is for sale.
    """
    async with pool.acquire() as conn, transaction(conn):
        route = await _find(conn, route_id)
        if not await store.set_route_removed(conn, route_id):
            raise UserError(
                f"route {route_id} is the only one of service {route.service_id}: add another, or "
                f"switch it off with `smm-gateway service set {route.service_id} --disable`"
            )
        await record(conn, warrant.act("route.removed", _subject(route_id), before=_fields(route)))


async def _find(conn: Connection, route_id: int) -> Route:
    service_id = await store.get_service_of_route(conn, route_id)
    service = await services.get_service(conn, service_id) if service_id else None
    for route in service.routes if service else ():
        if route.id == route_id:
            return route
    raise UserError(f"there is no route {route_id}: see `smm-gateway route list SERVICE`")
