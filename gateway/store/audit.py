"""The invariants as queries. Each names the rows that break it; a sound database gives none."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: ``sql`` returns one text per broken row."""

    name: str
    meaning: str
    sql: str


INVARIANTS: tuple[Check, ...] = (
    Check(
        "balance_is_history",
        "a stored balance is the sum of its entries",
        """select 'reseller ' || reseller_id
              from balance b
              full join (select reseller_id, sum(signed) as total, count(*) as number
                           from statement group by 1) e using (reseller_id)
             where b.amount is distinct from coalesce(e.total, 0)
                or b.entries is distinct from coalesce(e.number, 0)""",
    ),
    Check(
        "statement_has_no_gap",
        "entries of a reseller are numbered 1, 2, 3 … and each balance follows from the last",
        """select 'reseller ' || reseller_id || ' entry ' || position
              from (select reseller_id, position, balance_after, signed,
                           lag(position, 1, 0::bigint) over w as before,
                           lag(balance_after, 1, 0::bigint) over w as balance_before
                      from statement window w as (partition by reseller_id order by position)) e
             where position <> before + 1 or balance_after <> balance_before + signed""",
    ),
    Check(
        "balance_above_floor",
        "no purchase has taken a balance below its floor",
        "select 'reseller ' || reseller_id from balance where amount < floor",
    ),
    Check(
        "charged_once",
        "every order is charged exactly once, exactly its price, to its own reseller; a part is"
        " paid on its parent",
        """select 'order ' || o.id
             from orders o
             left join (select order_id, count(*) as number, sum(amount) as total,
                               min(reseller_id) as payer
                          from entry where cause = 'charge' group by 1) e on e.order_id = o.id
            where case when o.parent_id is null
                       then coalesce(e.number, 0) <> 1 or e.total <> o.charge
                            or e.payer <> o.reseller_id
                       else e.number is not null end""",
    ),
    Check(
        "refunds_match",
        "what an order says was refunded is what the ledger paid, and never more than its charge",
        """select 'order ' || o.id
             from orders o
             left join (select order_id, sum(amount) as total, min(reseller_id) as first,
                               max(reseller_id) as last
                          from entry where cause = 'refund' group by 1) e on e.order_id = o.id
            where o.refunded <> coalesce(e.total, 0) or o.refunded > o.charge
               or e.first <> o.reseller_id or e.last <> o.reseller_id""",
    ),
    Check(
        "no_money_without_order",
        "every charge and refund belongs to an order that exists",
        """select 'reseller ' || e.reseller_id || ' entry ' || e.position
             from entry e left join orders o on o.id = e.order_id
            where e.order_id is not null and o.id is null""",
    ),
    Check(
        "totals_match",
        "per cause, the ledger's total is the orders' total; balances hold what came in",
        """select 'total of ' || cause from (
                select 'charge' as cause,
                       (select coalesce(sum(amount), 0) from entry where cause = 'charge')
                           = (select coalesce(sum(charge), 0) from orders
                               where parent_id is null) as equal
                union all
                select 'refund', (select coalesce(sum(amount), 0) from entry where cause = 'refund')
                           = (select coalesce(sum(refunded), 0) from orders)
                union all
                select 'balances', (select coalesce(sum(amount), 0) from balance)
                           = (select coalesce(sum(signed), 0) from statement)) t
            where not equal""",
    ),
    Check(
        "one_live_attempt",
        "an order has at most one attempt that may run upstream",
        """select 'order ' || order_id from attempt
            where state in ('intent', 'placed', 'unknown') group by order_id having count(*) > 1""",
    ),
    Check(
        "attempts_fit_state",
        "an order's live attempt is the one that its state speaks of",
        """select 'order ' || o.id || ' (' || o.state || ')'
             from orders o
             left join attempt a on a.order_id = o.id and a.state in ('intent', 'placed', 'unknown')
             left join schedule s on s.order_id = o.id and s.interval_minutes is not null
            where s.order_id is not null and a.state is not null
               or s.order_id is null and (
                  (o.state in ('queued', 'failed') and a.state is not null)
               or (o.state = 'sending' and a.state is distinct from 'intent')
               or (o.state = 'unknown' and a.state is distinct from 'unknown')
               or (o.state in ('placed', 'in_progress', 'completed', 'partial')
                   and a.state is distinct from 'placed')
               or (o.state = 'canceled' and a.state in ('intent', 'unknown')))""",
    ),
    Check(
        "upstream_ids_agree",
        "one upstream order belongs to one of ours, and order, attempt and placement agree",
        """select 'order ' || o.id
             from orders o
             join attempt a on a.order_id = o.id and a.state = 'placed' and o.state <> 'review'
             left join placement p on p.provider_id = a.provider_id
                                  and p.upstream_id = a.upstream_id
            where o.upstream_id is distinct from a.upstream_id
               or o.provider_id <> a.provider_id or p.order_id is distinct from o.id""",
    ),
    Check(
        "end_fits_money",
        "an end state and what was refunded agree; a running order carries no refund",
        """select 'order ' || id || ' (' || state || ')'
             from orders left join schedule s on s.order_id = id
            where s.order_id is null and (
                  (state in ('canceled', 'failed') and refunded <> charge)
               or (state = 'completed' and refunded <> 0)
               or (state = 'partial' and (remains is null or remains not between 1 and quantity
                   or refunded <> div(charge::numeric * remains, quantity))))
               or (state in ('queued', 'sending', 'unknown', 'review', 'placed', 'in_progress')
                   and refunded <> 0)""",
    ),
    Check(
        "told_fits_state",
        "a reseller is told an end exactly when there is one, and a price that was charged",
        """select 'order ' || id || ' (' || state || ')' from orders
            where (state in ('completed', 'partial', 'canceled', 'failed'))
                  <> (wire_status in ('Completed', 'Partial', 'Canceled'))
               or wire_charge not between 0 and charge or wire_remains not between 0 and quantity
               or (state in ('scheduled', 'queued', 'sending', 'unknown', 'placed', 'in_progress')
                   and wire_charge <> charge)""",
    ),
    Check(
        "history_fits_row",
        "an order's events form one chain from the state it was born in to the one that it is in",
        """select 'order ' || o.id
             from (select o.*, case when o.parent_id is null and s.interval_minutes is not null
                                    then 'scheduled'
                                    when o.parent_id is not null and s.interval_minutes is null
                                    then 'placed' else 'queued' end as born
                     from orders o
                     left join schedule s on s.order_id = coalesce(o.parent_id, o.id)) o
             left join (select order_id, count(*) as number, max(version) as last,
                               (array_agg(from_state order by version))[1] as first,
                               (array_agg(to_state order by version desc))[1] as state,
                               bool_and(from_state = before) as chained
                          from (select *, lag(to_state, 1, from_state)
                                          over (partition by order_id order by version) as before
                                  from order_event) e
                         group by order_id) h on h.order_id = o.id
            where coalesce(h.number, 0) <> o.version or coalesce(h.last, 0) <> o.version
               or coalesce(h.first, o.born) <> o.born or coalesce(h.state, o.born) <> o.state
               or not coalesce(h.chained, true)""",
    ),
    Check(
        "parts_fit_parent",
        "an order's parts are numbered, of one size, each with its share of the parent's charge",
        """select 'order ' || o.id
             from orders o
             left join run r on r.order_id = o.id
             left join orders p on p.id = r.parent_id
             left join schedule s on s.order_id = r.parent_id
            where (o.parent_id is not null or r.order_id is not null)
              and (r.parent_id is distinct from o.parent_id or p.id is null or s.order_id is null
                   or r.number not between 1 and s.runs or o.reseller_id <> p.reseller_id
                   or o.service_id <> p.service_id or o.quantity <> p.quantity / s.runs
                   or o.charge <> div(p.charge::numeric * r.number, s.runs)
                                  - div(p.charge::numeric * (r.number - 1), s.runs))
           union all
           select 'run ' || r.number || ' of order ' || r.parent_id
             from run r left join orders o on o.id = r.order_id where o.id is null
           union all
           select 'schedule of order ' || s.order_id
             from schedule s left join orders o on o.id = s.order_id
            where o.id is null or o.parent_id is not null or o.quantity % s.runs <> 0""",
    ),
    Check(
        "parents_fit_parts",
        "a parent and its parts never give back more than was paid; what it gives back itself is"
        " for parts that were never made, and it ends after them",
        """select 'order ' || p.id || ' (' || p.state || ')'
             from schedule s
             join orders p on p.id = s.order_id
             left join (select r.parent_id, count(*) as made, max(r.number) as last,
                               sum(o.charge) as charge, sum(o.refunded) as refunded,
                               bool_or(o.state not in ('completed', 'partial', 'canceled',
                                                       'failed')) as open
                          from run r join orders o on o.id = r.order_id
                         group by 1) c on c.parent_id = p.id
            where p.refunded + coalesce(c.refunded, 0) > p.charge
               or p.refunded > p.charge - coalesce(c.charge, 0)
               or coalesce(c.made, 0) <> coalesce(c.last, 0)
               or (p.state in ('completed', 'partial', 'canceled') and coalesce(c.open, false))
               or (p.state = 'completed' and p.refunded <> 0)
               or (p.state in ('canceled', 'failed')
                   and p.refunded + coalesce(c.refunded, 0) <> p.charge)
               or (s.interval_minutes is not null
                   and (p.state in ('queued', 'sending', 'unknown', 'review', 'placed',
                                    'in_progress', 'failed')
                        or (p.state <> 'scheduled' and s.next_run_at is not null)
                        or p.refunded <> case when s.next_run_at is not null then 0
                                              else p.charge - coalesce(c.charge, 0) end))""",
    ),
    Check(
        "events_have_orders",
        "attempts and events belong to orders that exist",
        """select 'event of order ' || e.order_id
             from order_event e left join orders o on o.id = e.order_id where o.id is null
           union
           select 'attempt of order ' || a.order_id
             from attempt a left join orders o on o.id = a.order_id where o.id is null""",
    ),
    Check(
        "external_ids_own",
        "a reseller's own order names point at its own orders",
        """select 'external id of reseller ' || x.reseller_id || ', order ' || x.order_id
             from external_id x left join orders o on o.id = x.order_id
            where o.id is null or o.reseller_id <> x.reseller_id""",
    ),
    Check(
        "end_is_dated",
        "an order has the moment of its end exactly when it has ended",
        """select 'order ' || id || ' (' || state || ')' from orders
            where (state in ('completed', 'partial', 'canceled', 'failed'))
                  <> (ended_at is not null)""",
    ),
    Check(
        "one_open_refill",
        "an order has at most one open refill, and only after it was completed or partly so",
        """select 'order ' || r.order_id
             from refill r
            where r.state in ('requested', 'sending', 'unknown', 'placed', 'in_progress')
            group by r.order_id
           having count(*) > 1
               or not exists (select from order_event e where e.order_id = r.order_id
                                 and e.to_state in ('completed', 'partial'))""",
    ),
    Check(
        "refills_own",
        "a refill belongs to an order of its reseller, under the upstream's id for that order",
        """select 'refill ' || r.id
             from refill r left join orders o on o.id = r.order_id
            where o.id is null or o.reseller_id <> r.reseller_id
               or o.provider_id <> r.provider_id
               or o.upstream_id is distinct from r.upstream_order""",
    ),
    Check(
        "refills_fit_state",
        "a refill that is followed has an upstream id, and one that ended the moment of its end",
        """select 'refill ' || id || ' (' || state || ')' from refill
            where (state in ('placed', 'in_progress') and upstream_id is null)
               or (state in ('requested', 'sending') and upstream_id is not null)
               or (state not in ('requested', 'rejected') and tries = 0)
               or (state in ('completed', 'rejected', 'failed')) <> (ended_at is not null)""",
    ),
    Check(
        "cancellations_fit",
        "a request to cancel is for an order that exists, and is over only when the order is",
        """select 'cancellation of order ' || c.order_id || ' (' || c.state || ')'
             from cancellation c left join orders o on o.id = c.order_id
            where o.id is null
               or (c.state = 'over'
                   and o.state not in ('completed', 'partial', 'canceled', 'failed'))
               or (c.state = 'taken' and c.tries = 0 and o.state <> 'canceled'
                   and not exists (select from schedule s where s.order_id = c.order_id))""",
    ),
    Check(
        "not_below_cost",
        "no order was sold below what it was to cost, but for services marked for that",
        """select 'order ' || id from orders
            where cost > charge and not below_cost and parent_id is null""",
    ),
    Check(
        "no_floats",
        "no column anywhere holds floating point numbers",
        """select table_name || '.' || column_name from information_schema.columns
            where table_schema = current_schema()
              and data_type in ('real', 'double precision', 'money')""",
    ),
    Check(
        "append_only_guards",
        "the triggers that keep ledger and history append-only are on",
        """select guarded || ' ' || g
             from (select 'entry'::regclass as guarded union all select 'order_event'::regclass
                   union all select inhrelid::regclass from pg_inherits
                    where inhparent = 'order_event'::regclass) t,
                  unnest(array['append_only', 'no_truncate']) g
            where not exists (
                select 1 from pg_trigger where tgname = g and tgrelid = guarded
                   and tgenabled in ('O', 'A'))""",
    ),
)

WARNINGS: tuple[Check, ...] = (
    Check(
        "nothing_forgotten",
        "no order, refill or request to cancel waits longer than it should",
        """(select 'order ' || id || ' is ' || state || ' since '
                  || to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
             from orders
            where (state = 'scheduled' and next_at < now() - interval '10 minutes')
               or (state = 'queued' and updated_at < now() - interval '10 minutes')
               or (state = 'sending' and updated_at < now() - interval '3 minutes')
               or (state = 'unknown' and updated_at < now() - interval '30 minutes')
               or (state = 'review' and updated_at < now() - interval '30 minutes')
               or (state in ('placed', 'in_progress') and updated_at < now() - interval '72 hours')
            order by id limit 100)
           union all
           (select 'refill ' || id || ' is ' || state || ' since '
                   || to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
              from refill
             where (state = 'requested' and requested_at < now() - interval '1 hour')
                or (state = 'sending' and updated_at < now() - interval '3 minutes')
                or (state = 'unknown' and updated_at < now() - interval '30 minutes')
                or (state in ('placed', 'in_progress')
                    and updated_at < now() - interval '7 days')
             order by id limit 100)
           union all
           (select 'order ' || c.order_id || ' is to be canceled since '
                   || to_char(c.requested_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
              from cancellation c join orders o on o.id = c.order_id
             where c.state = 'requested' and c.requested_at < now() - interval '1 hour'
               and o.state not in ('unknown', 'review')
             order by c.order_id limit 100)""",
    ),
)


async def list_broken(conn: Connection, check: Check) -> list[str]:
    """The rows that break one invariant."""
    return [row[0] for row in await conn.fetch(check.sql)]


async def list_illegal_moves(conn: Connection, legal: Sequence[str]) -> list[str]:
    """Events whose ``from>to`` is not among the legal moves."""
    rows = await conn.fetch(
        """select 'order ' || order_id || ' move ' || version || ': ' || from_state || ' > '
                  || to_state
             from order_event where from_state || '>' || to_state <> all($1)""",
        legal,
    )
    return [row[0] for row in rows]
