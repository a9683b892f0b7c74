"""Routes of services, and what orders have met at them."""

from collections.abc import Sequence

from gateway.store.connection import Connection
from schemas.catalogue import NewRoute, RouteChange
from schemas.orders import QueuePlace, RouteKey, Tried


async def insert_route(conn: Connection, route: NewRoute) -> int | None:
    """A further route of a service; its id, None when the service has it already."""
    made: int | None = await conn.fetchval(
        """insert into route (service_id, provider_id, upstream_service, cost, priority, weight)
           values ($1, $2, $3, $4, $5, $6)
           on conflict on constraint route_once do nothing returning id""",
        route.service_id,
        route.provider_id,
        route.upstream_service,
        route.cost,
        route.priority,
        route.weight,
    )
    return made


async def get_service_of_route(conn: Connection, route_id: int) -> int | None:
    """The service that a route belongs to."""
    found: int | None = await conn.fetchval("select service_id from route where id = $1", route_id)
    return found


async def set_route(conn: Connection, route_id: int, change: RouteChange) -> None:
    """Change a route; what is None stays as it is."""
    await conn.execute(
        """update route
              set priority = coalesce($2, priority), weight = coalesce($3, weight),
                  enabled = coalesce($4, enabled),
                  disabled_reason = case when $4 is null then disabled_reason else $5 end
            where id = $1""",
        route_id,
        change.priority,
        change.weight,
        change.enabled,
        change.disabled_reason,
    )


async def set_route_removed(conn: Connection, route_id: int) -> bool:
    """Remove a route, unless it is the last of a service that is for sale; False then."""
    tag = await conn.execute(
        """delete from route r
            where r.id = $1
              and (exists (select 1 from route o where o.service_id = r.service_id and o.id <> $1)
                   or exists (select 1 from service s where s.id = r.service_id
                                                         and not s.enabled))""",
        route_id,
    )
    return tag == "DELETE 1"


async def list_tried(conn: Connection, order_id: int) -> dict[RouteKey, Tried]:
    """What an order has met at the routes that it was sent to."""
    rows = await conn.fetch(
        """select provider_id, upstream_service,
                  coalesce(bool_or(refusal in ('order', 'service')), false) as refused,
                  count(*)::int as times
             from attempt where order_id = $1 and state in ('rejected', 'not_sent')
            group by 1, 2""",
        order_id,
    )
    return {(row[0], row[1]): Tried(row[2], row[3]) for row in rows}


async def get_doubt(conn: Connection, order_id: int, before_version: int) -> bool:
    """Whether the order was in doubt before that move of its history."""
    return bool(
        await conn.fetchval(
            """select exists (select 1 from order_event
                               where order_id = $1 and version < $2 and to_state = 'unknown')""",
            order_id,
            before_version,
        )
    )


async def lock_services_and_routes(conn: Connection, provider_id: int) -> None:
    """Lock a provider's routes and their services until the transaction ends, orders aside."""
    await conn.execute(
        """select from route r join service s on s.id = r.service_id
            where r.provider_id = $1 order by s.id, r.id for no key update""",
        provider_id,
    )


async def lock_waiting_elsewhere(
    conn: Connection,
    provider_id: int,
    others: Sequence[int],
    *,
    after: QueuePlace,
    limit: int,
) -> list[QueuePlace]:
    """Lock queued orders of a provider that have a route to one of the ``others``, next ones first.

    Only those that are due later than ``after``; orders that somebody else is just taking are
    skipped.
    """
    rows = await conn.fetch(
        """select o.next_at, o.id from orders o
            where o.provider_id = $1 and o.state = 'queued'
              and o.next_at >= $3 and (o.next_at, o.id) > ($3, $4)
              and exists (select 1 from route r
                           where r.service_id = o.service_id and r.provider_id = any($2)
                             and r.enabled)
            order by o.next_at, o.id limit $5 for no key update of o skip locked""",
        provider_id,
        others,
        after.next_at,
        after.order_id,
        limit,
    )
    return [QueuePlace(*row) for row in rows]


async def count_waiting(conn: Connection) -> dict[int, int]:
    """How many orders wait at each provider."""
    rows = await conn.fetch(
        "select provider_id, count(*) from orders where state = 'queued' group by 1"
    )
    return {row[0]: row[1] for row in rows}
