"""Orders: their states, attempts and histories agree."""

from gateway.store.checks.check import Check
from schemas.orders import MOVES

_LEGAL = ",".join(f'"{before}>{to}"' for before, ends in MOVES.items() for to in ends)

HISTORIES: tuple[Check, ...] = (
    Check(
        "one_live_attempt",
        "an order has at most one attempt that may run upstream",
        """select 'order ' || order_id from attempt
            where state in ('intent', 'placed', 'unknown') and <<order_id>>
            group by order_id having count(*) > 1""",
    ),
    Check(
        "attempts_fit_state",
        "an order's live attempt is the one that its state speaks of",
        """select 'order ' || o.id || ' (' || o.state || ')'
             from orders o
             left join attempt a on a.order_id = o.id and <<a.order_id>>
                   and a.state in ('intent', 'placed', 'unknown')
             left join schedule s on s.order_id = o.id and s.interval_minutes is not null
            where <<o.id>> and (s.order_id is not null and a.state is not null
               or s.order_id is null and (
                  (o.state in ('queued', 'failed') and a.state is not null)
               or (o.state = 'sending' and a.state is distinct from 'intent')
               or (o.state = 'unknown' and a.state is distinct from 'unknown')
               or (o.state in ('placed', 'in_progress', 'completed', 'partial')
                   and a.state is distinct from 'placed')
               or (o.state = 'canceled' and a.state in ('intent', 'unknown'))))""",
    ),
    Check(
        "upstream_ids_agree",
        "one upstream order belongs to one of ours, and order, attempt and placement agree",
        """select 'order ' || o.id
             from orders o
             join attempt a on a.order_id = o.id and <<a.order_id>>
                           and a.state = 'placed' and o.state <> 'review'
             left join placement p on p.provider_id = a.provider_id
                                  and p.upstream_id = a.upstream_id
            where <<o.id>>
              and (o.upstream_id is distinct from a.upstream_id
                   or o.provider_id <> a.provider_id or p.order_id is distinct from o.id)""",
    ),
    Check(
        "end_fits_money",
        "an end state and what was refunded agree; a running order carries no refund",
        """select 'order ' || id || ' (' || state || ')'
             from orders left join schedule s on s.order_id = id
            where <<id>> and s.order_id is null and (
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
            where <<id>> and ((state in ('completed', 'partial', 'canceled', 'failed'))
                  <> (wire_status in ('Completed', 'Partial', 'Canceled'))
               or wire_charge not between 0 and charge or wire_remains not between 0 and quantity
               or (state in ('scheduled', 'queued', 'sending', 'unknown', 'placed', 'in_progress')
                   and wire_charge <> charge))""",
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
                     left join schedule s on s.order_id = coalesce(o.parent_id, o.id)
                    where <<o.id>>) o
             left join (select order_id, count(*) as number, max(version) as last,
                               (array_agg(from_state order by version))[1] as first,
                               (array_agg(to_state order by version desc))[1] as state,
                               bool_and(from_state = before) as chained
                          from (select *, lag(to_state, 1, from_state)
                                          over (partition by order_id order by version) as before
                                  from order_event where <<order_id>>) e
                         group by order_id) h on h.order_id = o.id
            where coalesce(h.number, 0) <> o.version or coalesce(h.last, 0) <> o.version
               or coalesce(h.first, o.born) <> o.born or coalesce(h.state, o.born) <> o.state
               or not coalesce(h.chained, true)""",
    ),
    Check(
        "events_have_orders",
        "attempts and events belong to orders that exist",
        """select 'event of order ' || e.order_id
             from order_event e left join orders o on o.id = e.order_id and <<o.id>>
            where <<e.order_id>> and o.id is null
           union
           select 'attempt of order ' || a.order_id
             from attempt a left join orders o on o.id = a.order_id and <<o.id>>
            where <<a.order_id>> and o.id is null""",
    ),
    Check(
        "end_is_dated",
        "an order has the moment of its end exactly when it has ended",
        """select 'order ' || id || ' (' || state || ')' from orders
            where <<id>> and (state in ('completed', 'partial', 'canceled', 'failed'))
                  <> (ended_at is not null)""",
    ),
    Check(
        "not_below_cost",
        "no order was sold below what it was to cost, but for services marked for that",
        # What a part costs and what it pays are rounded each for itself.
        """select 'order ' || id from orders
            where <<id>> and cost > charge + (parent_id is not null)::int and not below_cost""",
    ),
    Check(
        "legal_moves",
        "orders move only as the state machine allows",
        f"""select 'order ' || order_id || ' move ' || version || ': ' || from_state || ' > '
                  || to_state
             from order_event
            where <<order_id>> and from_state || '>' || to_state <> all('{{{_LEGAL}}}')""",  # noqa: S608 - constants only
    ),
)
