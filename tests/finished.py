"""Finished orders in any number, made in the database: each with its money and its history."""

from collections.abc import Sequence

from gateway.store.connection import Connection, transaction

CHARGE = 1_000_000
_CHUNK = 100_000

#: Of 25 orders one was canceled and one delivered in part; each went to one provider at once.
_MADE = f"""made as (
    select id, ($3::int[])[1 + id % cardinality($3::int[])] as reseller_id,
           case id % 25 when 0 then 'canceled' when 1 then 'partial' else 'completed' end as state,
           case id % 25 when 0 then {CHARGE} when 1 then {CHARGE} / 4 else 0 end as refund
      from generate_series($1::int, $2::int) as id)"""

_ORDERS = f"""with {_MADE}
    insert into orders (id, reseller_id, service_id, service_type, provider_id, upstream_service,
                        upstream_id, state, version, attempts, link, quantity, rate, charge,
                        refunded, currency, start_count, remains, wire_status, wire_charge,
                        wire_remains, request_id, next_at, created_at, updated_at, ended_at, cost)
    select id, reseller_id, $4, 'Default', $5, '1', 'f' || id, state, 3, 1,
           'https://www.instagram.com/p/F' || id || '/', 1000, {CHARGE}, {CHARGE}, refund, 'USD',
           100, case state when 'completed' then 0 when 'partial' then 250 else 1000 end,
           initcap(state), {CHARGE} - refund,
           case state when 'completed' then 0 when 'partial' then 250 else 1000 end,
           'f' || id, 'infinity', now() - interval '60 days', now() - interval '59 days',
           now() - interval '59 days', {CHARGE} / 2
      from made"""
_ATTEMPTS = """
    insert into attempt (order_id, number, provider_id, upstream_service, state, upstream_id,
                         http_status, elapsed_ms, started_at, finished_at)
    select id, 1, $3, '1', 'placed', 'f' || id, 200, 100, now() - interval '60 days',
           now() - interval '60 days'
      from generate_series($1::int, $2::int) as id"""
_PLACEMENTS = """
    insert into placement (provider_id, upstream_id, order_id)
    select $3, 'f' || id, id from generate_series($1::int, $2::int) as id"""
_EVENTS = f"""with {_MADE}
    insert into order_event (order_id, version, from_state, to_state, cause, at)
    select id, version, before, coalesce(after, state), cause, now() - interval '60 days'
      from made, (values (1, 'queued', 'sending', 'claimed'), (2, 'sending', 'placed', 'placed'),
                         (3, 'placed', null, 'upstream_ended')) v (version, before, after, cause)
     where $4::int is not null and $5::int is not null"""
_ENTRIES = f"""with {_MADE},
    moves as (
        select id, reseller_id, 'charge' as cause, {CHARGE} as amount, -{CHARGE} as signed from made
         where $4::int is not null and $5::int is not null
        union all
        select id, reseller_id, 'refund', refund, refund from made where refund > 0),
    numbered as (
        select m.*, b.entries + row_number() over w as position,
               b.amount + sum(signed) over w as balance_after
          from moves m join balance b using (reseller_id)
        window w as (partition by reseller_id order by id, cause)),
    posted as (
        insert into entry (reseller_id, position, source, destination, amount, cause, order_id,
                           balance_after, at)
        select reseller_id, position, case cause when 'charge' then 'reseller' else 'sales' end,
               case cause when 'charge' then 'sales' else 'reseller' end, amount, cause, id,
               balance_after, now() - interval '60 days'
          from numbered
        returning reseller_id, position, balance_after)
    update balance b set amount = l.balance_after, entries = l.position
      from (select distinct on (reseller_id) * from posted order by reseller_id, position desc) l
     where b.reseller_id = l.reseller_id"""


async def fill_finished(
    conn: Connection,
    resellers: Sequence[int],
    service_id: int,
    provider_id: int,
    *,
    first: int,
    number: int,
) -> None:
    """Make the orders with the ids ``first`` and on; the ranges for them, too.

    The resellers must have the money. Many orders want a connection of an unhurried pool.
    """
    last = first + number - 1
    for lower in range(first, last + 1, _CHUNK):
        upper = min(lower + _CHUNK - 1, last)
        async with transaction(conn):
            await conn.execute(
                "select setval('order_id', greatest($1, last_value)) from order_id", upper
            )
            await conn.execute("select make_order_ranges()")
            await conn.execute("set local work_mem = '256MB'")
            for sql in (_ORDERS, _EVENTS, _ENTRIES):
                await conn.execute(sql, lower, upper, resellers, service_id, provider_id)
            for sql in (_ATTEMPTS, _PLACEMENTS):
                await conn.execute(sql, lower, upper, provider_id)
    # As autovacuum would have done by the time that so many orders are finished.
    for table in ("orders", "attempt", "order_event", "entry", "placement", "balance"):
        await conn.execute(f"vacuum analyze {table}")
