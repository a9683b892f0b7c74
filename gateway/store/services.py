"""Services that we sell, and the routes that deliver them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from gateway.store.connection import Connection, Record, columns
from schemas.catalogue import NewService, Route, Service, ServiceChange
from schemas.money import Micros

#: One row for each route; a service without routes has one, too.
_SELECT = """select s.id, s.name, s.type, s.category, s.description, s.position, s.rate, s.minimum,
                    s.maximum, s.step, s.dripfeed, s.refill, s.cancel, s.refill_days, s.keep_links,
                    s.below_cost, s.enabled, s.disabled_reason,
                    r.id, r.service_id, r.provider_id, p.name, r.upstream_service, r.cost,
                    r.priority, r.weight, r.enabled, r.disabled_reason
               from service s left join route r on r.service_id = s.id
                              left join provider p on p.id = r.provider_id"""
#: How many of these columns are the service's.
_OF_SERVICE = 18


def _services(rows: Iterable[Record]) -> list[Service]:
    found = []
    for _, joined in groupby(rows, key=itemgetter(0)):
        first, *others = map(tuple, joined)
        routed = [row[_OF_SERVICE:] for row in (first, *others) if row[_OF_SERVICE] is not None]
        routes = tuple(Route(*route) for route in routed)
        found.append(Service(*(*first[:_OF_SERVICE], routes)))
    return found


async def list_services(conn: Connection) -> list[Service]:
    """All services by id, each with its routes."""
    return _services(await conn.fetch(f"{_SELECT} order by s.id, r.priority, r.id"))


async def get_service(conn: Connection, service_id: int) -> Service | None:
    """One service with its routes."""
    rows = await conn.fetch(f"{_SELECT} where s.id = $1 order by r.priority, r.id", service_id)
    return next(iter(_services(rows)), None)


async def lock_routes(conn: Connection, provider_id: int) -> dict[str, int]:
    """Our service ids by the upstream's, for one provider; two imports at once wait in line."""
    await conn.execute("select id from provider where id = $1 for update", provider_id)
    rows = await conn.fetch(
        "select upstream_service, service_id from route where provider_id = $1", provider_id
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
                                    $12::bool[], $13::text[], $14::bigint[]) with ordinality
                      as g (upstream_service, name, type, category, rate, minimum, maximum,
                            dripfeed, refill, cancel, enabled, disabled_reason, cost, nth)),
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
               select id, $1, upstream_service, cost from numbered returning service_id)
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
        ),
    )
    return [row["id"] for row in rows]


async def set_service(conn: Connection, service_id: int, change: ServiceChange) -> bool:
    """Change a service; False when there is none with that id."""
    tag = await conn.execute(
        """update service
              set name = coalesce($2, name), category = coalesce($3, category),
                  rate = coalesce($4, rate), minimum = coalesce($5, minimum),
                  maximum = coalesce($6, maximum), enabled = coalesce($7, enabled),
                  disabled_reason = case when $7 is null then disabled_reason else $8 end,
                  refill = coalesce($9, refill), cancel = coalesce($10, cancel),
                  refill_days = case when $11::int is null then refill_days
                                     else nullif($11, 0) end,
                  dripfeed = coalesce($12, dripfeed)
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
    )
    return tag == "UPDATE 1"


async def set_route_cost(conn: Connection, route_id: int, cost: Micros) -> None:
    """What the upstream now asks, per 1,000."""
    await conn.execute("update route set cost = $2 where id = $1", route_id, cost)
