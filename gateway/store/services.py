"""Services that we sell, and the routes that deliver them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from gateway.store.connection import Connection, Record, columns
from schemas.catalogue import NewService, Route, Service, ServiceChange
from schemas.money import Micros

#: One row for each route; a service without routes has one, too.
_COLUMNS = """select s.id, s.name, s.type, s.category, s.description, s.position,
                     coalesce(s.rate, 0), s.minimum,
                     s.maximum, s.step, s.dripfeed, s.refill, s.cancel, s.refill_days, s.keep_links,
                     s.below_cost, s.enabled, s.disabled_reason, s.rate is null,
                     r.id, r.service_id, r.provider_id, p.name, r.upstream_service, r.cost,
                     r.priority, r.weight, r.enabled, r.disabled_reason, r.basis"""
_JOINED = """left join route r on r.service_id = s.id
             left join provider p on p.id = r.provider_id"""
_SELECT = f"{_COLUMNS} from service s {_JOINED}"
#: How many of these columns are the service's; the last of them says that it follows its rule.
_OF_SERVICE = 19


def _services(rows: Iterable[Record]) -> list[Service]:
    found = []
    for _, joined in groupby(rows, key=itemgetter(0)):
        first, *others = map(tuple, joined)
        routed = [row[_OF_SERVICE:] for row in (first, *others) if row[_OF_SERVICE] is not None]
        routes = tuple(Route(*route) for route in routed)
        *values, follows = first[:_OF_SERVICE]
        found.append(Service(*(*values, routes, follows)))
    return found


async def list_services(
    conn: Connection, *, after: int = 0, limit: int | None = None
) -> list[Service]:
    """Services by id, each with its routes: all, or at most ``limit`` from the id ``after`` on."""
    rows = await conn.fetch(
        f"""{_COLUMNS} from (select * from service where id > $1 order by id limit $2) s {_JOINED}
             order by s.id, r.priority, r.id""",  # noqa: S608 - constants only
        after,
        limit,
    )
    return _services(rows)


async def list_services_of(conn: Connection, provider_id: int) -> list[Service]:
    """The services that have a route to a provider, each with all its routes."""
    rows = await conn.fetch(
        f"""{_SELECT} where s.id in (select service_id from route where provider_id = $1)
             order by s.id, r.priority, r.id""",  # noqa: S608 - constants only
        provider_id,
    )
    return _services(rows)


async def list_chosen_services(conn: Connection, service_ids: Sequence[int]) -> list[Service]:
    """These services, each with its routes."""
    rows = await conn.fetch(
        f"{_SELECT} where s.id = any($1) order by s.id, r.priority, r.id",
        service_ids,
    )
    return _services(rows)


async def get_service(conn: Connection, service_id: int) -> Service | None:
    """One service with its routes."""
    rows = await conn.fetch(f"{_SELECT} where s.id = $1 order by r.priority, r.id", service_id)
    return next(iter(_services(rows)), None)


async def lock_routes(conn: Connection, provider_id: int) -> dict[str, int]:
    """Our service ids by the upstream's, for one provider; two imports at once wait in line."""
    await conn.execute("select id from provider where id = $1 for update", provider_id)
    rows = await conn.fetch(
        "select upstream_service, service_id from route where provider_id = $1 order by id desc",
        provider_id,
    )
    return {row["upstream_service"]: row["service_id"] for row in rows}


async def insert_services(
    conn: Connection, provider_id: int, services: Sequence[NewService]
) -> list[int]:
    """New services, each with its one route; returns their ids in the order given."""
    rows = await conn.fetch(
        """with given as (
               select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                                    $7::int[], $8::int[], $9::bool[], $10::bool[], $11::bool[],
                                    $12::bool[], $13::text[], $14::bigint[], $15::text[],
                                    $16::numeric[]) with ordinality
                      as g (upstream_service, name, type, category, rate, minimum, maximum,
                            dripfeed, refill, cancel, enabled, disabled_reason, cost,
                            upstream_name, upstream_rate, nth)),
           numbered as (
               select g.*, nextval(pg_get_serial_sequence('service', 'id'))::int as id
                 from (select * from given order by nth) g),
           made as (
               insert into service (id, name, type, category, rate, minimum, maximum, dripfeed,
                                    refill, cancel, enabled, disabled_reason)
               overriding system value
               select id, name, type, category, rate, minimum, maximum, dripfeed, refill, cancel,
                      enabled, disabled_reason from numbered
               returning id),
           routed as (
               insert into route (service_id, provider_id, upstream_service, cost)
               select id, $1, upstream_service, cost from numbered returning id, service_id),
           seen as (
               insert into route_seen (route_id, name, rate, minimum, maximum, refill, cancel)
               select r.id, n.upstream_name, n.upstream_rate, n.minimum, n.maximum, n.refill,
                      n.cancel
                 from routed r join numbered n on n.id = r.service_id
                where n.upstream_name is not null and n.upstream_rate is not null)
           select id from numbered order by nth""",
        provider_id,
        *columns(
            services,
            "upstream_service",
            "name",
            "type",
            "category",
            "rate",
            "minimum",
            "maximum",
            "dripfeed",
            "refill",
            "cancel",
            "enabled",
            "disabled_reason",
            "cost",
            "upstream_name",
            "upstream_rate",
        ),
    )
    return [row["id"] for row in rows]


async def set_service(conn: Connection, service_id: int, change: ServiceChange) -> bool:
    """Change a service; False when there is none with that id."""
    tag = await conn.execute(
        """update service
              set name = coalesce($2, name), category = coalesce($3, category),
                  rate = case when $18 then null else coalesce($4, rate) end,
                  minimum = coalesce($5, minimum),
                  maximum = coalesce($6, maximum), enabled = coalesce($7, enabled),
                  disabled_reason = case when $7 is null then disabled_reason else $8 end,
                  refill = coalesce($9, refill), cancel = coalesce($10, cancel),
                  refill_days = case when $11::int is null then refill_days
                                     else nullif($11, 0) end,
                  dripfeed = coalesce($12, dripfeed),
                  description = coalesce($13, description), position = coalesce($14, position),
                  step = coalesce($15, step), keep_links = coalesce($16, keep_links),
                  below_cost = coalesce($17, below_cost)
            where id = $1""",
        service_id,
        change.name,
        change.category,
        change.rate,
        change.minimum,
        change.maximum,
        change.enabled,
        change.disabled_reason,
        change.refill,
        change.cancel,
        change.refill_days,
        change.dripfeed,
        change.description,
        change.position,
        change.step,
        change.keep_links,
        change.below_cost,
        change.follow,
    )
    return tag == "UPDATE 1"


async def set_service_type(
    conn: Connection, service_id: int, service_type: str, *, drips: bool
) -> None:
    """What an order of the service consists of, after its upstream changed that.

    Drip-feed stays as offered only where orders of the type can be delivered in runs (``drips``).
    """
    await conn.execute(
        "update service set type = $2, dripfeed = dripfeed and $3 where id = $1",
        service_id,
        service_type,
        drips,
    )


async def set_limits_and_flags(conn: Connection, services: Sequence[Service]) -> None:
    """Take over limits and flags of many services."""
    await conn.execute(
        """update service s
              set minimum = c.minimum, maximum = c.maximum, refill = c.refill, cancel = c.cancel
             from unnest($1::int[], $2::int[], $3::int[], $4::bool[], $5::bool[])
                  as c (id, minimum, maximum, refill, cancel)
            where s.id = c.id""",
        *columns(services, "id", "minimum", "maximum", "refill", "cancel"),
    )


async def set_routes(conn: Connection, routes: Sequence[Route]) -> None:
    """Take over what many routes cost, and whether they are on."""
    await conn.execute(
        """update route r
              set cost = c.cost, basis = c.basis, enabled = c.enabled,
                  disabled_reason = c.disabled_reason
             from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bool[], $5::text[])
                  as c (id, cost, basis, enabled, disabled_reason)
            where r.id = c.id""",
        *columns(routes, "id", "cost", "basis", "enabled", "disabled_reason"),
    )


async def set_route_basis(conn: Connection, route_id: int, basis: Micros | None) -> None:
    """What cost prices are made from while a change waits; None is the cost itself."""
    await conn.execute("update route set basis = $2 where id = $1", route_id, basis)
