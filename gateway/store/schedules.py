"""Orders that are delivered in parts: their plans, and which order is which part."""

from collections.abc import Collection, Sequence
from datetime import datetime

from gateway.store.connection import Connection, columns
from schemas.orders import OrderState, WireStatus
from schemas.schedules import NewRun, Run, Schedule

_LOCK = 7_301_002


async def lock_schedules(conn: Connection) -> bool:
    """Become the one who makes runs until the transaction ends; False when somebody else is."""
    return bool(await conn.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK))


async def list_schedules(conn: Connection, order_ids: Sequence[int]) -> dict[int, Schedule]:
    """The plans of parents, by order id; orders that are delivered at once have none."""
    rows = await conn.fetch(
        """select s.order_id, s.runs, s.interval_minutes, s.next_run_at, o.service_id, o.link,
                  exists (select 1 from orders r
                           where r.link = o.link and r.parent_id is not null
                             and r.parent_id <> o.id and r.reseller_id = o.reseller_id
                             and r.service_id = o.service_id
                             and r.state in ('queued', 'sending', 'unknown', 'review', 'placed',
                                             'in_progress')),
                  now()
             from schedule s join orders o on o.id = s.order_id
            where s.order_id = any($1)""",
        order_ids,
    )
    return {row["order_id"]: Schedule(*row) for row in rows}


async def list_runs(conn: Connection, parent_ids: Sequence[int]) -> list[Run]:
    """The parts of these parents that exist, by their number."""
    rows = await conn.fetch(
        """select r.parent_id, r.number, r.order_id, o.upstream_id, o.state, o.quantity, o.charge,
                  o.refunded, o.remains, o.wire_status
             from run r join orders o on o.id = r.order_id
            where r.parent_id = any($1) order by r.parent_id, r.number""",
        parent_ids,
    )
    words = [(OrderState(row["state"]), WireStatus(row["wire_status"])) for row in rows]
    return [
        Run(**{**row, "state": state, "wire_status": word})
        for row, (state, word) in zip(rows, words, strict=True)
    ]


async def insert_runs(conn: Connection, runs: Sequence[NewRun]) -> None:
    """Parts as orders of their own: ``queued``, or ``placed`` where the upstream has them already.

    Raises:
        asyncpg.UniqueViolationError: when a part, or its upstream order, has an order already.
    """
    await conn.execute(
        """with given as (
               select g.parent_id, g.number, g.order_id, g.charge, g.upstream_id, p as parent,
                      p.quantity / s.runs as pieces,
                      coalesce(g.provider_id, p.provider_id) as provider_id,
                      coalesce(g.upstream_service, p.upstream_service) as upstream_service,
                      coalesce(g.cost, div(p.cost::numeric * g.number, s.runs)
                          - div(p.cost::numeric * (g.number - 1), s.runs)) as cost,
                      p.below_cost or g.below_cost as below_cost
                 from unnest($1::int[], $2::int[], $3::int[], $4::bigint[], $5::text[],
                             $6::int[], $7::text[], $8::bigint[], $9::bool[])
                      as g (parent_id, number, order_id, charge, upstream_id, provider_id,
                            upstream_service, cost, below_cost)
                 join orders p on p.id = g.parent_id
                 join schedule s on s.order_id = g.parent_id),
           numbered as (
               insert into run (parent_id, number, order_id)
               select parent_id, number, order_id from given),
           tried as (
               insert into attempt (order_id, number, provider_id, upstream_service, state,
                                    upstream_id, finished_at)
               select order_id, 1, provider_id, upstream_service, 'placed', upstream_id, now()
                 from given where upstream_id is not null),
           placed as (
               insert into placement (provider_id, upstream_id, order_id)
               select provider_id, upstream_id, order_id
                 from given where upstream_id is not null)
           insert into orders (id, parent_id, reseller_id, service_id, service_type, provider_id,
                               upstream_service, upstream_id, state, attempts, link, quantity,
                               parameters, rate, charge, currency, cost, below_cost, wire_charge,
                               wire_remains, request_id)
           select order_id, parent_id, (parent).reseller_id, (parent).service_id,
                  (parent).service_type, provider_id, upstream_service,
                  upstream_id, case when upstream_id is null then 'queued' else 'placed' end,
                  (upstream_id is not null)::int, (parent).link, pieces, (parent).parameters,
                  (parent).rate, charge, (parent).currency, cost, below_cost, charge,
                  pieces, (parent).request_id
             from given""",
        *columns(
            runs,
            "parent_id",
            "number",
            "order_id",
            "charge",
            "upstream_id",
            "provider_id",
            "upstream_service",
            "cost",
            "below_cost",
        ),
    )


async def set_next_runs(
    conn: Connection, order_ids: Sequence[int], times: Sequence[datetime | None]
) -> None:
    """When the next run of each parent is due; None ends the making of runs."""
    await conn.execute(
        """update schedule s set next_run_at = t.at
             from unnest($1::int[], $2::timestamptz[]) as t (order_id, at)
            where s.order_id = t.order_id""",
        order_ids,
        times,
    )


async def set_parents_due(conn: Connection, order_ids: Collection[int]) -> None:
    """Have these parents looked at now. Those that somebody holds are left to their own time."""
    await conn.execute(
        """update orders set next_at = now()
            where id = any(array(
                select id from orders
                 where id = any($1) and state in ('scheduled', 'placed', 'in_progress')
                   for no key update skip locked))""",
        order_ids,
    )
