"""Attempts that may have been accepted, and what was found out and decided about them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.store.connection import Connection, Record
from schemas.doubts import (
    Decision,
    Doubt,
    DoubtfulOrder,
    Finding,
    KnownOrder,
    LookRecord,
    ResolutionRecord,
    TriedAttempt,
)
from schemas.orders import AttemptState, OrderState


async def claim_doubts(conn: Connection, provider_id: int, *, lease_ms: int) -> list[int]:
    """Take all orders in doubt of a provider, if one of them is due; none else looks meanwhile."""
    rows = await conn.fetch(
        """with waiting as (
               select id from orders
                where provider_id = $1 and state = 'unknown'
                  and exists (select from orders d
                               where d.provider_id = $1 and d.state = 'unknown'
                                 and d.next_at <= now())
                  for no key update skip locked)
           update orders set next_at = now() + $2 * interval '1 ms'
            where id = any(array(select id from waiting)) returning id""",
        provider_id,
        lease_ms,
    )
    return sorted(row["id"] for row in rows)


async def set_doubts_due(conn: Connection, order_ids: Sequence[int], next_in: int) -> None:
    """When to look at these orders again, in milliseconds; those that were decided are left."""
    await conn.execute(
        """update orders set next_at = now() + $2 * interval '1 ms'
            where id = any($1) and state = 'unknown'""",
        order_ids,
        next_in,
    )


async def list_doubts(conn: Connection, provider_id: int) -> tuple[list[Doubt], datetime]:
    """Every attempt at a provider that may have been accepted, and the time of the database."""
    rows = await conn.fetch(
        """with doubtful as (
               select id, attempts as number from orders where state in ('unknown', 'review')
               union select id, attempts from orders where state = 'sending'
               union select order_id, number from attempt
                      where order_id = any(array(select order_id from resolution
                                                  where at > now() - interval '7 days'))
                        and state = 'abandoned')
           select o.id, a.number, a.upstream_service, o.service_type, o.link, o.quantity,
                  o.cost, a.started_at, greatest(o.updated_at, coalesce(c.first_at, now())),
                  coalesce(a.body, ''),
                  o.state = 'unknown' and a.state = 'unknown', now()
             from doubtful d
             join orders o on o.id = d.id
             join attempt a on a.order_id = d.id and a.number = d.number
             left join reconciliation c on c.order_id = d.id
            where a.provider_id = $1 and a.state in ('intent', 'unknown', 'abandoned')
           union all
           select null, null, null, null, null, null, null, null, null, null, null, now()""",
        provider_id,
    )
    return [Doubt(*row[:11]) for row in rows if row[0] is not None], rows[-1][11]


def _known(rows: Sequence[Record]) -> list[KnownOrder]:
    return [KnownOrder(*row) for row in rows]


async def list_known_ids(
    conn: Connection, provider_id: int, upstream_ids: Sequence[str]
) -> list[KnownOrder]:
    """Those of a provider's orders that belong to an order of ours."""
    return _known(
        await conn.fetch(
            """select p.upstream_id, p.order_id, coalesce(a.started_at, 'infinity'),
                      coalesce(a.finished_at, 'infinity'), o.cost
                 from placement p
                 left join orders o on o.id = p.order_id
                 left join attempt a on a.order_id = p.order_id and a.upstream_id = p.upstream_id
                      and a.provider_id = p.provider_id and a.state = 'placed'
                where p.provider_id = $1 and p.upstream_id = any($2)""",
            provider_id,
            upstream_ids,
        )
    )


async def list_known_since(conn: Connection, provider_id: int, since: datetime) -> list[KnownOrder]:
    """The orders of ours that a provider took in attempts that began at ``since`` or later."""
    return _known(
        await conn.fetch(
            """select a.upstream_id, a.order_id, a.started_at,
                      coalesce(a.finished_at, 'infinity'),
                      case when o.parent_id is null or s.interval_minutes is not null then o.cost
                           else 0 end
                 from attempt a
                 join orders o on o.id = a.order_id
                 left join schedule s on s.order_id = o.parent_id
                where a.provider_id = $1 and a.state = 'placed' and a.started_at >= $2""",
            provider_id,
            since,
        )
    )


async def count_returned_since(conn: Connection, provider_id: int, since: datetime) -> int:
    """How many orders of a provider ended since then so that it pays something back."""
    return int(
        await conn.fetchval(
            """select count(*) from order_event e join orders o on o.id = e.order_id
                where e.at >= $2 and e.to_state in ('canceled', 'partial', 'review')
                  and o.provider_id = $1 and o.upstream_id is not null""",
            provider_id,
            since,
        )
    )


async def list_running(conn: Connection, provider_id: int, limit: int) -> list[str]:
    """What the upstream calls the orders that may run there, up to ``limit``.

    Those in review too: it may pay back one of which it has said something odd.
    """
    rows = await conn.fetch(
        """select upstream_id from orders
            where provider_id = $1 and state in ('placed', 'in_progress')
           union all
           select upstream_id from orders
            where provider_id = $1 and state in ('unknown', 'review') and upstream_id is not null
            limit $2""",
        provider_id,
        limit,
    )
    return [row["upstream_id"] for row in rows]


async def set_attempt_decided(
    conn: Connection,
    order_id: int,
    number: int,
    state: AttemptState,
    upstream_id: str | None,
    reason: str,
) -> bool:
    """Decide about an attempt; False when it is not there. When it was answered stays."""
    tag = await conn.execute(
        """update attempt
              set state = $3, upstream_id = $4, reason = $5,
                  finished_at = coalesce(finished_at, now())
            where order_id = $1 and number = $2""",
        order_id,
        number,
        state,
        upstream_id,
        reason,
    )
    return tag == "UPDATE 1"


async def get_attempt_state(conn: Connection, order_id: int, number: int) -> AttemptState | None:
    """What is known of one attempt."""
    found = await conn.fetchval(
        "select state from attempt where order_id = $1 and number = $2", order_id, number
    )
    return None if found is None else AttemptState(found)


async def insert_look(
    conn: Connection, order_id: int, verdict: Finding, evidence: Mapping[str, Any]
) -> None:
    """Keep what a look found out, in place of the one before."""
    await conn.execute(
        """insert into reconciliation (order_id, looks, verdict, evidence) values ($1, 1, $2, $3)
           on conflict (order_id) do update
              set looks = reconciliation.looks + 1, verdict = excluded.verdict,
                  evidence = excluded.evidence, looked_at = now()""",
        order_id,
        verdict,
        json.dumps(evidence, ensure_ascii=False),
    )


async def get_look(conn: Connection, order_id: int) -> LookRecord | None:
    """What the last look at an order found out."""
    row = await conn.fetchrow(
        """select looks, verdict, evidence, first_at, looked_at from reconciliation
            where order_id = $1""",
        order_id,
    )
    return _look(row) if row else None


def _look(row: Record) -> LookRecord:
    return LookRecord(
        row["looks"],
        Finding(row["verdict"]),
        json.loads(row["evidence"]),
        row["first_at"],
        row["looked_at"],
    )


async def insert_resolution(
    conn: Connection,
    order_id: int,
    version: int,
    decision: Decision,
    upstream_id: str | None,
    reason: str,
) -> None:
    """Keep what an operator decided, with the move that it made."""
    await conn.execute(
        """insert into resolution (order_id, version, decision, upstream_id, reason)
           values ($1, $2, $3, $4, $5)""",
        order_id,
        version,
        decision,
        upstream_id,
        reason,
    )


async def list_resolutions(conn: Connection, order_id: int) -> list[ResolutionRecord]:
    """What operators decided of an order, oldest first."""
    rows = await conn.fetch(
        """select version, decision, upstream_id, reason, at from resolution
            where order_id = $1 order by version""",
        order_id,
    )
    return [ResolutionRecord(row[0], Decision(row[1]), *row[2:]) for row in rows]


async def list_tried_attempts(conn: Connection, order_id: int) -> list[TriedAttempt]:
    """The submissions of an order, oldest first."""
    rows = await conn.fetch(
        """select a.number, a.provider_id, a.upstream_service, a.state, a.upstream_id,
                  not exists (select from placement p
                               where p.provider_id = a.provider_id
                                 and p.upstream_id = a.upstream_id
                                 and p.order_id <> a.order_id)
             from attempt a where a.order_id = $1 order by a.number""",
        order_id,
    )
    return [
        TriedAttempt(row[0], row[1], row[2], AttemptState(row[3]), row[4], row[5]) for row in rows
    ]


async def get_owner(conn: Connection, provider_id: int, upstream_id: str) -> int | None:
    """The order of ours that an upstream order belongs to."""
    found: int | None = await conn.fetchval(
        "select order_id from placement where provider_id = $1 and upstream_id = $2",
        provider_id,
        upstream_id,
    )
    return found


async def list_doubtful_orders(conn: Connection, limit: int) -> list[DoubtfulOrder]:
    """The orders that are in doubt or in review, those that have waited longest first."""
    rows = await conn.fetch(
        """select o.id, o.state, r.name as reseller, p.name as provider, o.upstream_id, o.link,
                  o.quantity, o.charge - o.refunded as charge, o.currency,
                  coalesce(e.cause, '') as cause, o.updated_at as since, now() as now,
                  c.looks, c.verdict, c.evidence, c.first_at, c.looked_at
             from orders o
             join reseller r on r.id = o.reseller_id
             join provider p on p.id = o.provider_id
             left join order_event e on e.order_id = o.id and e.version = o.version
             left join reconciliation c on c.order_id = o.id
            where o.state in ('unknown', 'review') order by o.updated_at, o.id limit $1""",
        limit,
    )
    return [
        DoubtfulOrder(
            order_id=row["id"],
            state=OrderState(row["state"]),
            reseller=row["reseller"],
            provider=row["provider"],
            upstream_id=row["upstream_id"],
            link=row["link"],
            quantity=row["quantity"],
            charge=row["charge"],
            currency=row["currency"],
            cause=row["cause"],
            since=row["since"],
            now=row["now"],
            look=_look(row) if row["looks"] is not None else None,
        )
        for row in rows
    ]


async def list_attempt_bodies(conn: Connection, order_id: int) -> dict[int, str]:
    """What was kept of the answers to an order's submissions, by the number of the attempt."""
    rows = await conn.fetch(
        "select number, body from attempt where order_id = $1 and body is not null", order_id
    )
    return {row["number"]: row["body"] for row in rows}


async def count_doubtful_charges(conn: Connection) -> dict[OrderState, int]:
    """The charges of orders in doubt and in review, in micro-units, by state."""
    rows = await conn.fetch(
        """select state, sum(charge - refunded)::bigint from orders
            where state in ('unknown', 'review') group by 1"""
    )
    return {OrderState(row[0]): row[1] for row in rows}
