"""Orders: the rows that are the orders, the jobs and the queue in one."""

import json
from collections.abc import Sequence

from gateway.store.connection import Connection, Record, columns
from schemas.orders import (
    ClaimedOrder,
    NewOrder,
    Order,
    OrderChange,
    OrderState,
    PolledOrder,
    ToldOrder,
    WireStatus,
)


async def insert_orders(conn: Connection, orders: Sequence[NewOrder], catalogue: int) -> bool:
    """Accepted orders, ``queued`` or ``scheduled``, if the catalogue still has the version that
    they were priced at; else nothing is written and the answer is False.
    """
    return bool(
        await conn.fetchval(
            """with priced as (select catalogue = $2 as rightly from version),
               given as (select o.* from unnest($1::new_order[]) as o, priced where rightly),
               written as (
                   insert into orders (id, reseller_id, service_id, service_type, provider_id,
                                       upstream_service, link, quantity, parameters, rate, charge,
                                       currency, request_id, cost, below_cost, wire_charge,
                                       wire_remains, state)
                   select id, reseller_id, service_id, service_type, provider_id, upstream_service,
                          link, quantity, parameters, rate, charge, currency, request_id, cost,
                          below_cost, charge, quantity,
                          case when interval_minutes is null then 'queued' else 'scheduled' end
                     from given),
               planned as (
                   insert into schedule (order_id, runs, interval_minutes, next_run_at)
                   select id, runs, interval_minutes,
                          case when interval_minutes is not null then now() end
                     from given where runs is not null)
               select rightly from priced""",
            orders,
            catalogue,
        )
    )


async def list_placed_orders(conn: Connection, order_ids: Sequence[int]) -> set[int]:
    """Those of the order ids that are orders."""
    rows = await conn.fetch("select id from orders where id = any($1)", order_ids)
    return {row["id"] for row in rows}


async def count_sending(conn: Connection, provider_id: int) -> int:
    """How many orders of a provider are being sent, by whichever process."""
    return int(
        await conn.fetchval(
            "select count(*) from orders where provider_id = $1 and state = 'sending'", provider_id
        )
    )


async def claim_orders(
    conn: Connection, provider_id: int, *, limit: int, lease_ms: int
) -> list[ClaimedOrder]:
    """Take the longest waiting orders of a provider for sending, ``queued`` to ``sending``.

    Orders that somebody else has locked are skipped, and those that the reseller wants
    canceled. The caller records attempts and events in the same transaction.
    """
    rows = await conn.fetch(
        """with taken as (
               select id from orders
                where provider_id = $1 and state = 'queued' and next_at <= now()
                  and not exists (select from cancellation c
                                   where c.order_id = orders.id and c.state = 'requested')
                order by next_at limit $2 for update skip locked)
           update orders o
              set state = 'sending', version = o.version + 1, attempts = o.attempts + 1,
                  next_at = now() + $3 * interval '1 ms', updated_at = now()
            where o.id = any(array(select id from taken))
           returning o.id, o.version, o.attempts, o.service_type, o.upstream_service, o.link,
                     o.quantity, o.parameters, o.request_id, o.rate, now() as started_at,
                     (select r.cost from route r
                       where r.service_id = o.service_id and r.provider_id = o.provider_id
                         and r.upstream_service = o.upstream_service) as route_cost,
                     coalesce((select s.below_cost from service s where s.id = o.service_id), false)
                         as below_cost,
                     o.parent_id is not null and not exists (
                         select from route r
                          where r.service_id = o.service_id and r.provider_id = o.provider_id
                            and r.upstream_service = o.upstream_service and r.enabled)
                         as part_without_route,
                     exists (select from service s
                              where s.id = o.service_id and s.type <> o.service_type)
                         as type_changed""",
        provider_id,
        limit,
        lease_ms,
    )
    return [
        ClaimedOrder(**{**row, "parameters": json.loads(row["parameters"] or "{}")}) for row in rows
    ]


async def claim_polls(
    conn: Connection, provider_id: int, *, limit: int, lease_ms: int
) -> list[PolledOrder]:
    """Take the orders of a provider whose status is due; nobody else asks before the lease ends."""
    rows = await conn.fetch(
        """with due as (
               select id from orders
                where provider_id = $1 and state in ('placed', 'in_progress') and next_at <= now()
                order by next_at limit $2 for update skip locked)
           update orders o set next_at = now() + $3 * interval '1 ms'
            where o.id = any(array(select id from due))
           returning o.id, o.upstream_id""",
        provider_id,
        limit,
        lease_ms,
    )
    return [PolledOrder(*row) for row in rows]


async def claim_corrections(
    conn: Connection, provider_id: int, *, limit: int, lease_ms: int
) -> list[PolledOrder]:
    """Take finished orders that are due for another look, in case they are corrected."""
    rows = await conn.fetch(
        """with due as (
               select id from orders
                where provider_id = $1 and state in ('completed', 'partial')
                  and next_at < 'infinity' and next_at <= now()
                order by next_at limit $2 for update skip locked)
           update orders o set next_at = now() + $3 * interval '1 ms'
            where o.id = any(array(select id from due))
           returning o.id, o.upstream_id""",
        provider_id,
        limit,
        lease_ms,
    )
    return [PolledOrder(*row) for row in rows]


_DECIDED = """select id, reseller_id, service_id, service_type, provider_id, upstream_service,
                     upstream_id, state, version, attempts, quantity, rate, cost, charge, refunded,
                     currency,
                     start_count, remains, wire_status, wire_charge, wire_remains, request_id,
                     created_at, updated_at, missing_since, parent_id
                from orders"""


def _order(row: Record) -> Order:
    words = {"state": OrderState(row["state"]), "wire_status": WireStatus(row["wire_status"])}
    return Order(**{**row, **words})


async def lock_orders(conn: Connection, order_ids: Sequence[int]) -> list[Order]:
    """Lock orders until the transaction ends, in id order so that no two wait in a ring."""
    rows = await conn.fetch(
        f"{_DECIDED} where id = any($1) order by id for no key update",
        order_ids,
    )
    return [_order(row) for row in rows]


async def lock_own_orders(
    conn: Connection, order_ids: Sequence[int], reseller_id: int | None
) -> list[Order]:
    """Lock those of the orders that are the reseller's, as ``lock_orders``; None owns them all."""
    rows = await conn.fetch(
        f"""{_DECIDED} where id = any($1) and ($2::int is null or reseller_id = $2)
             order by id for no key update""",
        order_ids,
        reseller_id,
    )
    return [_order(row) for row in rows]


async def set_orders_due(conn: Connection, order_ids: Sequence[int]) -> None:
    """Have running orders asked for soon; those that somebody holds keep their time."""
    await conn.execute(
        """update orders set next_at = now()
            where id = any(array(
                select id from orders
                 where id = any($1) and state in ('placed', 'in_progress')
                   for no key update skip locked))""",
        order_ids,
    )


async def lock_expired_sendings(conn: Connection, limit: int) -> list[Order]:
    """Lock ``sending`` orders whose lease is over: their sender died or has forgotten them."""
    rows = await conn.fetch(
        f"""{_DECIDED} where state = 'sending' and next_at <= now()
             order by next_at limit $1 for no key update skip locked""",
        limit,
    )
    return [_order(row) for row in rows]


async def lock_due_parents(conn: Connection, limit: int) -> list[Order]:
    """Lock the ``scheduled`` orders that are due for a look and that nobody else holds."""
    rows = await conn.fetch(
        f"""{_DECIDED} where state = 'scheduled' and next_at <= now()
             order by next_at limit $1 for no key update skip locked""",
        limit,
    )
    return [_order(row) for row in rows]


async def set_orders(conn: Connection, changes: Sequence[OrderChange]) -> int:
    """Write decisions; returns how many orders were still as they had been read."""
    orders = [change.order for change in changes]
    tag = await conn.execute(
        """update orders o
              set state = c.state, version = o.version + c.moved::int,
                  upstream_id = c.upstream_id, refunded = o.refunded + c.refund,
                  start_count = c.start_count, remains = c.remains,
                  wire_status = c.wire_status, wire_charge = c.wire_charge,
                  wire_remains = c.wire_remains,
                  next_at = coalesce(now() + c.next_in * interval '1 ms', 'infinity'),
                  missing_since = case when c.missing then coalesce(o.missing_since, now()) end,
                  provider_id = c.provider_id, upstream_service = c.upstream_service,
                  cost = c.cost, below_cost = o.below_cost or c.below_cost,
                  updated_at = case when c.moved then now() else o.updated_at end,
                  ended_at = case when c.state in ('completed', 'partial', 'canceled', 'failed')
                                  then coalesce(o.ended_at, now()) end
             from unnest($1::int[], $2::int[], $3::text[], $4::bool[], $5::text[], $6::bigint[],
                         $7::bigint[], $8::int[], $9::text[], $10::bigint[], $11::int[],
                         $12::bigint[], $13::bool[], $14::int[], $15::text[], $16::bigint[],
                         $17::bool[])
                  as c (id, version, state, moved, upstream_id, refund, start_count, remains,
                        wire_status, wire_charge, wire_remains, next_in, missing,
                        provider_id, upstream_service, cost, below_cost)
            where o.id = c.id and o.version = c.version and o.id = any($1)""",
        *columns(orders, "id", "version"),
        *columns(
            changes,
            "state",
            "moved",
            "upstream_id",
            "refund",
            "start_count",
            "remains",
            "wire_status",
            "wire_charge",
            "wire_remains",
            "next_in",
            "missing",
            "provider_id",
            "upstream_service",
            "cost",
            "below_cost",
        ),
    )
    return int(tag.split()[-1])


async def list_told_orders(
    conn: Connection, order_ids: Sequence[int], reseller_ids: Sequence[int]
) -> dict[tuple[int, int], ToldOrder]:
    """Orders as their resellers are told of them; an order of somebody else is not found.

    The two sequences are pairs: order ``order_ids[i]`` asked by reseller ``reseller_ids[i]``. The
    answer is keyed by such pairs.
    """
    rows = await conn.fetch(
        """select o.id, o.wire_status, o.wire_charge, o.start_count, o.wire_remains, o.currency,
                  o.reseller_id
             from orders o
             join unnest($1::int[], $2::int[]) as asked (id, reseller_id)
               on asked.id = o.id and asked.reseller_id = o.reseller_id
            where o.id = any($1)""",
        order_ids,
        reseller_ids,
    )
    return {(row["id"], row["reseller_id"]): ToldOrder(*row[:6]) for row in rows}


async def count_open_orders(conn: Connection) -> dict[OrderState, tuple[int, float]]:
    """Open orders by state: how many, and the age of the oldest in seconds."""
    rows = await conn.fetch(
        """select state, count(*), extract(epoch from now() - min(created_at))::float8
             from orders where state = 'scheduled' group by state
           union all
           select state, count(*), extract(epoch from now() - min(created_at))::float8
             from orders where state = 'queued' group by state
           union all
           select state, count(*), extract(epoch from now() - min(created_at))::float8
             from orders where state = 'sending' group by state
           union all
           select state, count(*), extract(epoch from now() - min(created_at))::float8
             from orders where state in ('placed', 'in_progress') group by state
           union all
           select state, count(*), extract(epoch from now() - min(created_at))::float8
             from orders where state in ('unknown', 'review') group by state"""
    )
    return {OrderState(row[0]): (row[1], row[2]) for row in rows}
