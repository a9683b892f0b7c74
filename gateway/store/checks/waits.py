"""What is not broken, but waits longer than it should, or runs out."""

from gateway.store.checks.check import Check

# What is not placed waits since it was ordered: sending it in vain is a move, and no progress.
WAITS: tuple[Check, ...] = (
    Check(
        "nothing_forgotten",
        "no order, refill or request to cancel waits longer than it should",
        """(select 'order ' || id || ' is ' || state
                  || case when state in ('queued', 'sending') then ', ordered ' else ' since ' end
                  || to_char(since at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
             from (
                   select id, state, updated_at as since from orders
                    where state = 'scheduled' and next_at < now() - interval '10 minutes'
                   union all
                   select id, state, created_at from orders
                    where state = 'queued' and created_at < now() - interval '10 minutes'
                   union all
                   select id, state, created_at from orders
                    where state = 'sending' and (created_at < now() - interval '10 minutes'
                                                 or updated_at < now() - interval '3 minutes')
                   union all
                   select id, state, updated_at from orders
                    where state in ('unknown', 'review')
                      and updated_at < now() - interval '30 minutes'
                   union all
                   select id, state, updated_at from orders
                    where state in ('placed', 'in_progress')
                      and updated_at < now() - interval '72 hours') o
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
    Check(
        "order_ids_left",
        "there are enough order ids for a long time",
        """select last_value || ' of 2147483647 order ids are used up'
             from order_id where last_value > 2147483647 / 5 * 4""",
    ),
)
