"""What hangs on orders: names, refills, requests to cancel."""

from gateway.store.checks.check import KEPT, Check

AFTERCARE: tuple[Check, ...] = (
    Check(
        "external_ids_own",
        "a reseller's own order names point at its own orders",
        f"""select 'external id of reseller ' || x.reseller_id || ', order ' || x.order_id
             from external_id x left join orders o on o.id = x.order_id and <<o.id>>
            where <<x.order_id>> and (o.reseller_id <> x.reseller_id
               or (o.id is null and {KEPT.format("x.order_id")}))""",  # noqa: S608 - constants only
    ),
    Check(
        "one_open_refill",
        "an order has at most one open refill, and only after it was completed or partly so",
        """select 'order ' || r.order_id
             from refill r
            where <<r.order_id>>
              and r.state in ('requested', 'sending', 'unknown', 'placed', 'in_progress')
            group by r.order_id
           having count(*) > 1
               or not exists (select from order_event e where e.order_id = r.order_id
                                 and e.to_state in ('completed', 'partial'))""",
    ),
    Check(
        "refills_own",
        "a refill belongs to an order of its reseller, under the upstream's id for that order",
        f"""select 'refill ' || r.id
             from refill r left join orders o on o.id = r.order_id and <<o.id>>
            where <<r.order_id>> and ((o.id is null and {KEPT.format("r.order_id")})
               or o.reseller_id <> r.reseller_id
               or o.provider_id <> r.provider_id
               or o.upstream_id is distinct from r.upstream_order and o.id is not null)""",  # noqa: S608 - constants only
    ),
    Check(
        "refills_fit_state",
        "a refill that is followed has an upstream id, and one that ended the moment of its end",
        """select 'refill ' || id || ' (' || state || ')' from refill
            where <<order_id>> and ((state in ('placed', 'in_progress') and upstream_id is null)
               or (state in ('requested', 'sending') and upstream_id is not null)
               or (state not in ('requested', 'rejected') and tries = 0)
               or (state in ('completed', 'rejected', 'failed')) <> (ended_at is not null))""",
    ),
    Check(
        "cancellations_fit",
        "a request to cancel is for an order that exists, and is over only when the order is",
        f"""select 'cancellation of order ' || c.order_id || ' (' || c.state || ')'
             from cancellation c left join orders o on o.id = c.order_id and <<o.id>>
            where <<c.order_id>> and ((o.id is null and {KEPT.format("c.order_id")})
               or (c.state = 'over'
                   and o.state not in ('completed', 'partial', 'canceled', 'failed'))
               or (c.state = 'taken' and c.tries = 0 and o.state <> 'canceled'
                   and not exists (select from schedule s where s.order_id = c.order_id)))""",  # noqa: S608 - constants only
    ),
)
