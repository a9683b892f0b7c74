"""The money: balances, statements, and what orders paid and got back."""

from gateway.store.checks.check import DIGEST, KEPT, Check

NO_GAP = Check(
    "statement_has_no_gap",
    "entries of a reseller are numbered 1, 2, 3 … and each balance follows from the last",
    """select 'reseller ' || reseller_id || ' entry ' || position
          from (select reseller_id, position, balance_after, signed,
                       lag(position, 1, 0::bigint) over w as before,
                       lag(balance_after, 1, 0::bigint) over w as balance_before
                  from statement window w as (partition by reseller_id order by position)) e
         where position <> before + 1 or balance_after <> balance_before + signed""",
)

BALANCE_ABOVE_FLOOR = Check(
    "balance_above_floor",
    "no purchase has taken a balance below its floor",
    "select 'reseller ' || reseller_id from balance where amount < floor",
)

DETACHED_RANGES = Check(
    "detached_ranges_match",
    "the ledger has for the orders of detached ranges what was noted when they were detached",
    f"""with found as (
           select r.lower, e.*
             from detached_range r
            cross join lateral (
                  select reseller_id, count(*) as entries,
                         coalesce(sum(amount) filter (where cause = 'charge'), 0) as charged,
                         coalesce(sum(amount) filter (where cause = 'refund'), 0) as refunded,
                         {DIGEST} as digest
                    from entry where order_id >= r.lower and order_id < r.upper
                   group by reseller_id) e
            where <<r.lower>>)
       select 'range ' || lower || ', reseller ' || reseller_id
         from (select * from detached_sum where <<lower>>) n
         full join found f using (lower, reseller_id)
        where n.lower is null or n.entries <> coalesce(f.entries, 0)
           or n.charged <> coalesce(f.charged, 0) or n.refunded <> coalesce(f.refunded, 0)
           or n.digest <> coalesce(f.digest, 0)""",  # noqa: S608 - constants only
)

MONEY: tuple[Check, ...] = (
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
    NO_GAP,
    BALANCE_ABOVE_FLOOR,
    Check(
        "charged_once",
        "every order is charged exactly once, exactly its price, to its own reseller; a part is"
        " paid on its parent",
        """select 'order ' || o.id
             from orders o
             left join (select order_id, count(*) as number, sum(amount) as total,
                               min(reseller_id) as payer
                          from entry where cause = 'charge' and <<order_id>>
                         group by 1) e on e.order_id = o.id
            where <<o.id>> and case when o.parent_id is null
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
                          from entry where cause = 'refund' and <<order_id>>
                         group by 1) e on e.order_id = o.id
            where <<o.id>>
              and (o.refunded <> coalesce(e.total, 0) or o.refunded > o.charge
                   or e.first <> o.reseller_id or e.last <> o.reseller_id)""",
    ),
    Check(
        "no_money_without_order",
        "every charge and refund belongs to an order that exists",
        f"""select 'reseller ' || e.reseller_id || ' entry ' || e.position
             from entry e left join orders o on o.id = e.order_id and <<o.id>>
            where e.order_id is not null and <<e.order_id>> and o.id is null
              and {KEPT.format("e.order_id")}""",  # noqa: S608 - constants only
    ),
    Check(
        "totals_match",
        "per cause, the ledger's total is the orders' total; balances hold what came in",
        """select 'total of ' || cause from (
                select 'charge' as cause,
                       (select coalesce(sum(amount), 0) from entry where cause = 'charge')
                           = (select coalesce(sum(charge), 0) from orders
                               where parent_id is null)
                           + (select coalesce(sum(charged), 0) from detached_sum) as equal
                union all
                select 'refund', (select coalesce(sum(amount), 0) from entry where cause = 'refund')
                           = (select coalesce(sum(refunded), 0) from orders)
                           + (select coalesce(sum(refunded), 0) from detached_sum)
                union all
                select 'balances', (select coalesce(sum(amount), 0) from balance)
                           = (select coalesce(sum(signed), 0) from statement)) t
            where not equal""",
    ),
    DETACHED_RANGES,
)
