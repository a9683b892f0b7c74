"""Ranges of order ids: which there are, what keeps one, and detaching it from its tables."""

from gateway.store.checks.check import DIGEST
from gateway.store.connection import Connection
from schemas.ranges import RANGE_WIDTH, RANGED_TABLES, OrderRange, RangeRecord, tables_of

#: Orders of an alias that may change: each arm has its small partial index.
_MAY_CHANGE = """({0}.state = 'scheduled' or {0}.state = 'queued' or {0}.state = 'sending'
    or {0}.state in ('placed', 'in_progress') or {0}.state in ('unknown', 'review')
    or ({0}.state in ('completed', 'partial') and {0}.next_at < 'infinity'))"""


async def list_order_ranges(conn: Connection) -> list[OrderRange]:
    """The ranges that are not detached, by their ids."""
    rows = await conn.fetch(
        r"""select bounds[1]::int as lower, bounds[2]::int as upper
              from pg_inherits i
              join pg_class c on c.oid = i.inhrelid,
                   regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                'FROM \(''?(\d+)''?\) TO \(''?(\d+)''?\)') as bounds
             where i.inhparent = 'orders'::regclass order by 1"""
    )
    return [OrderRange(*row) for row in rows]


async def list_detached_ranges(conn: Connection) -> list[RangeRecord]:
    """The ranges that were detached, as they were then; their size while their tables stand."""
    rows = await conn.fetch(
        """select d.lower, d.upper, d.orders,
                  (select coalesce(sum(pg_total_relation_size(to_regclass(
                              base || '_' || d.lower / $2))), 0)::bigint
                     from unnest($1::text[]) as base),
                  d.detached_at
             from detached_range d order by d.lower""",
        RANGED_TABLES,
        RANGE_WIDTH,
    )
    return [RangeRecord(row[0], row[1], row[2], None, row[3], row[4]) for row in rows]


async def get_range_record(conn: Connection, part: OrderRange) -> RangeRecord:
    """What is in a range: it counts all its orders, which takes a while."""
    row = await conn.fetchrow(
        """select (select count(*) from orders where id >= $1 and id < $2),
                  (select max(ended_at) from orders where id >= $1 and id < $2),
                  (select sum(pg_total_relation_size(t::regclass))::bigint
                     from unnest($3::text[]) as t)""",
        part.lower,
        part.upper,
        tables_of(part.lower),
    )
    assert row is not None
    return RangeRecord(part.lower, part.upper, *row)


async def list_range_holds(conn: Connection, lower: int, upper: int) -> dict[str, int]:
    """Why a range may not be detached: how much of each kind may still change, by kind."""
    rows = await conn.fetch(
        f"""select * from (
                select 'open orders' as kind,
                       (select count(*) from orders
                         where id >= $1 and id < $2 and state = 'scheduled')
                     + (select count(*) from orders
                         where id >= $1 and id < $2 and state = 'queued')
                     + (select count(*) from orders
                         where id >= $1 and id < $2 and state = 'sending')
                     + (select count(*) from orders
                         where id >= $1 and id < $2 and state in ('placed', 'in_progress'))
                     + (select count(*) from orders
                         where id >= $1 and id < $2 and state in ('unknown', 'review')) as number
                union all
                select 'finished orders that upstreams may still correct', count(*) from orders
                 where id >= $1 and id < $2 and state in ('completed', 'partial')
                   and next_at < 'infinity'
                union all
                select 'open refills', count(*) from refill
                 where order_id >= $1 and order_id < $2
                   and state in ('requested', 'sending', 'unknown', 'placed', 'in_progress')
                union all
                select 'open requests to cancel', count(*) from cancellation
                 where order_id >= $1 and order_id < $2 and state = 'requested'
                union all
                select 'orders whose answer may not have arrived', count(*) from unreceived
                 where order_id >= $1 and order_id < $2
                union all
                select 'links that are kept as active', count(*) from active_link
                 where order_id >= $1 and order_id < $2
                union all
                select 'schedules that make further runs', count(*) from schedule
                 where order_id >= $1 and order_id < $2 and next_run_at is not null
                union all
                select 'orders with an unfinished part or parent in another range', count(*)
                  from run r
                  join orders o on o.id = case when r.order_id >= $1 and r.order_id < $2
                                               then r.parent_id else r.order_id end
                 where (r.order_id >= $1 and r.order_id < $2) <> (r.parent_id >= $1
                                                                  and r.parent_id < $2)
                   and {_MAY_CHANGE.format("o")}) holds
             where number > 0""",  # noqa: S608 - constants only
        lower,
        upper,
    )
    return {row["kind"]: row["number"] for row in rows}


async def get_range_closed(conn: Connection, upper: int) -> bool:
    """Whether ids below ``upper`` are no longer given: later ones were, more than an hour ago.

    Processes drop ids that they have leased and not given within ``ORDER_ID_SECONDS``.
    """
    return bool(
        await conn.fetchval(
            """select coalesce((select created_at < now() - interval '1 hour' from orders
                                 where id >= $1 order by id limit 1), false)
                   or exists (select from detached_range where lower >= $1)""",
            upper,
        )
    )


async def insert_detached_range(conn: Connection, part: OrderRange) -> None:
    """Note what is in a range that is about to be detached."""
    await conn.execute(
        f"""with noted as (
               insert into detached_range (lower, upper, orders, attempts, events, last_version)
               select $1, $2::bigint, count(*),
                      (select count(*) from attempt where order_id >= $1 and order_id < $2),
                      (select count(*) from order_event where order_id >= $1 and order_id < $2),
                      coalesce(max(version), 0)
                 from orders where id >= $1 and id < $2),
           placed as (
               select reseller_id, min(currency) as currency, count(*) as orders,
                      coalesce(sum(charge) filter (where parent_id is null), 0) as charged,
                      sum(refunded) as refunded
                 from orders where id >= $1 and id < $2 group by 1),
           moved as (
               select reseller_id, count(*) as entries, {DIGEST} as digest
                 from entry where order_id >= $1 and order_id < $2 group by 1)
           insert into detached_sum (lower, reseller_id, currency, orders, charged, refunded,
                                     entries, digest)
           select $1, reseller_id, currency, orders, charged, refunded, coalesce(entries, 0),
                  coalesce(digest, 0)
             from placed left join moved using (reseller_id)""",  # noqa: S608 - constants only
        part.lower,
        part.upper,
    )


async def lock_ranged_tables(conn: Connection, wait_ms: int) -> bool:
    """Keep everybody else away from the partitioned tables until the transaction ends.

    Whoever comes meanwhile waits behind us, for ``wait_ms`` for each table at most: False, and
    nothing is locked, when somebody uses one of them for longer.
    """
    return bool(await conn.fetchval("select lock_ranged_tables($1)", wait_ms))


async def set_range_detached(conn: Connection, part: OrderRange) -> None:
    """Make the range's tables stand alone. The caller has locked the partitioned ones."""
    await conn.execute(
        ";".join(
            f"alter table {base} detach partition {table}"
            for base, table in zip(RANGED_TABLES, tables_of(part.lower), strict=True)
        )
    )
