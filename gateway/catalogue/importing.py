"""Importing an upstream's catalogue, and following what it later changes."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from gateway.errors import UserError
from gateway.store import services
from gateway.store.connection import Pool, transaction
from schemas.catalogue import NewService, Route, Service, ServiceChange
from schemas.money import BadAmount, micros_from, rate_above
from schemas.providers import ProviderRecord
from schemas.services import SERVICE_TYPES
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService

#: Prices above this, per 1,000 in the house currency, stand for "not for sale" at many panels.
ABSURD_RATE = Decimal(99_999)
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: ``added`` are our new service ids; ``known`` were there before."""

    added: tuple[int, ...]
    known: tuple[int, ...]
    refused: tuple[RefusedRow, ...]


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync changed, by our service ids; ``off`` says why each was switched off."""

    changed: tuple[int, ...]
    off: dict[int, str]


def new_service(row: UpstreamService, markup_percent: Decimal) -> NewService:
    """The service that we sell for an upstream's row; a type unknown to us is switched off.

    Raises:
        BadAmount: when the row's price cannot be sold.
    """
    if row.rate > ABSURD_RATE:
        raise BadAmount(f"a price of {row.rate} per 1000 is absurd")
    return NewService(
        upstream_service=row.service,
        name=row.name[:LONGEST_NAME],
        type=row.type,
        category=row.category[:LONGEST_NAME] or "Other",
        rate=rate_above(row.rate, markup_percent),
        minimum=row.minimum,
        maximum=row.maximum,
        # We make the runs of a drip-feed, whatever the upstream can do.
        dripfeed=row.type_known and SERVICE_TYPES[row.type].dripfeed,
        refill=row.refill,
        cancel=row.cancel,
        enabled=row.type_known,
        disabled_reason=None if row.type_known else f"the type {row.type!r} is not known",
        cost=micros_from(row.rate),
    )


async def import_services(
    pool: Pool,
    provider: ProviderRecord,
    catalogue: UpstreamCatalogue,
    *,
    markup_percent: Decimal,
    only: Collection[str] | None,
) -> Imported:
    """Sell what an upstream offers, at its price and a markup; nothing is added twice."""
    wanted = [r for r in catalogue.services if only is None or r.service in only]
    refused = [r for r in catalogue.refused if only is None or r.service in only]
    async with pool.acquire() as conn, transaction(conn):
        ours = await services.lock_routes(conn, provider.id)
        fresh: list[NewService] = []
        for row in _first_of_each(wanted):
            if row.service in ours:
                continue
            try:
                fresh.append(new_service(row, markup_percent))
            except BadAmount as error:
                refused.append(RefusedRow(row.service, str(error)))
        added = await services.insert_services(conn, provider.id, fresh) if fresh else []
    known = [ours[row.service] for row in wanted if row.service in ours]
    return Imported(tuple(added), tuple(known), tuple(refused))


def _first_of_each(rows: Iterable[UpstreamService]) -> Iterable[UpstreamService]:
    found: dict[str, UpstreamService] = {}
    for row in rows:
        found.setdefault(row.service, row)
    return found.values()


def followed(service: Service, route: Route, row: UpstreamService | None) -> tuple[int, str | None]:
    """A route's cost after a sync, and why its service must be switched off, if it must."""
    if row is None:
        return route.cost, "the upstream no longer offers it"
    if row.type != service.type:
        # What a price and the limits are for depends on the type: this is another service.
        return route.cost, f"the upstream changed its type from {service.type} to {row.type}"
    try:
        cost = micros_from(row.rate)
    except BadAmount:
        return route.cost, "the upstream's price is absurd"
    if cost > service.rate:
        return cost, "the upstream's price is above ours"
    return cost, None


async def sync_services(
    pool: Pool, provider: ProviderRecord, catalogue: UpstreamCatalogue
) -> Synced:
    """Take over an upstream's costs and limits; switch off what vanished or now costs too much.

    Prices stay as they are, and nothing is switched on: that is for an operator to decide.

    Raises:
        UserError: for an empty catalogue, which more often is a broken answer than a closed shop.
    """
    if not catalogue.services:
        raise UserError(f"{provider.name} answered with an empty catalogue: nothing was changed")
    rows = {row.service: row for row in catalogue.services}
    changed: list[int] = []
    off: dict[int, str] = {}
    async with pool.acquire() as conn, transaction(conn):
        await services.lock_routes(conn, provider.id)
        ours = [(s, r) for s in await services.list_services(conn) for r in s.routes]
        for service, route in ours:
            if route.provider_id != provider.id:
                continue
            row = rows.get(route.upstream_service)
            cost, reason = followed(service, route, row)
            if reason is not None and service.enabled:
                off[service.id] = reason
                switch = ServiceChange(enabled=False, disabled_reason=reason)
                await services.set_service(conn, service.id, switch)
            limits = (row.minimum, row.maximum) if row else (service.minimum, service.maximum)
            if (cost, *limits) != (route.cost, service.minimum, service.maximum):
                changed.append(service.id)
                bounds = ServiceChange(minimum=limits[0], maximum=limits[1])
                await services.set_service(conn, service.id, bounds)
                await services.set_route_cost(conn, route.id, cost)
    return Synced(tuple(changed), off)
