"""Orders in parts: parents and parts agree."""

from gateway.store.checks.check import KEPT, Check

PARTS: tuple[Check, ...] = (
    Check(
        "parts_fit_parent",
        "an order's parts are numbered, of one size, each with its share of the parent's charge",
        f"""select 'order ' || o.id
             from orders o
             left join run r on r.order_id = o.id
             left join orders p on p.id = r.parent_id
             left join schedule s on s.order_id = r.parent_id
            where <<o.id>> and (o.parent_id is not null or r.order_id is not null)
              and {KEPT.format("coalesce(r.parent_id, o.parent_id)")}
              and (r.parent_id is distinct from o.parent_id or p.id is null or s.order_id is null
                   or r.number not between 1 and s.runs or o.reseller_id <> p.reseller_id
                   or o.service_id <> p.service_id or o.quantity <> p.quantity / s.runs
                   or o.charge <> div(p.charge::numeric * r.number, s.runs)
                                  - div(p.charge::numeric * (r.number - 1), s.runs))
           union all
           select 'run ' || r.number || ' of order ' || r.parent_id
             from run r left join orders o on o.id = r.order_id and <<o.id>>
            where <<r.order_id>> and o.id is null and {KEPT.format("r.order_id")}
           union all
           select 'schedule of order ' || s.order_id
             from schedule s left join orders o on o.id = s.order_id and <<o.id>>
            where <<s.order_id>> and {KEPT.format("s.order_id")}
              and (o.id is null or o.parent_id is not null or o.quantity % s.runs <> 0)""",  # noqa: S608 - constants only
    ),
    Check(
        "parents_fit_parts",
        "a parent and its parts never give back more than was paid; what it gives back itself is"
        " for parts that were never made, and it ends after them",
        f"""select 'order ' || p.id || ' (' || p.state || ')'
             from schedule s
             join orders p on p.id = s.order_id and <<p.id>>
             left join (select r.parent_id, count(*) as made, max(r.number) as last,
                               sum(o.charge) as charge, sum(o.refunded) as refunded,
                               bool_or(o.state not in ('completed', 'partial', 'canceled',
                                                       'failed')) as open
                          from run r join orders o on o.id = r.order_id
                        where <<r.parent_id>> group by 1) c on c.parent_id = p.id
            where <<s.order_id>>
              and not exists (select from run r where r.parent_id = s.order_id
                                 and not {KEPT.format("r.order_id")})
              and (p.refunded + coalesce(c.refunded, 0) > p.charge
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
                                              else p.charge - coalesce(c.charge, 0) end)))""",  # noqa: S608 - constants only
    ),
)
