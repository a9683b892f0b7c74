"""Attempts, the events of an order's history, and which upstream order belongs to which of ours."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gateway.store.connection import Connection, columns
from schemas.order_records import AttemptRecord
from schemas.orders import (
    AttemptResult,
    AttemptState,
    ClaimedOrder,
    OrderChange,
    OrderState,
    Placement,
)
from schemas.upstream import RefusalGroup


async def insert_attempts(
    conn: Connection, provider_id: int, orders: Sequence[ClaimedOrder]
) -> datetime:
    """The intent to send, with the event of the move; a second live attempt is refused.

    Returns when the claim began, on the database's clock: no other claim of these orders did then.

    Raises:
        asyncpg.UniqueViolationError: when an order may already run upstream.
    """
    began: datetime = await conn.fetchval(
        """with event as (
               insert into order_event (order_id, version, from_state, to_state, cause)
               select id, version, 'queued', 'sending', 'claimed'
                 from unnest($2::int[], $3::int[]) as c (id, version))
           insert into attempt (order_id, number, provider_id, upstream_service)
           select id, number, $1, upstream_service
             from unnest($2::int[], $4::int[], $5::text[]) as c (id, number, upstream_service)
           returning started_at""",
        provider_id,
        *columns(orders, "id", "version", "attempts", "upstream_service"),
    )
    return began


async def get_start(conn: Connection, order_id: int, number: int) -> datetime | None:
    """When an attempt began; None where there is no such attempt."""
    began: datetime | None = await conn.fetchval(
        "select started_at from attempt where order_id = $1 and number = $2", order_id, number
    )
    return began


async def list_intents(conn: Connection, order_ids: Sequence[int], began: datetime) -> set[int]:
    """Those of the orders that the claim which began then has taken and nobody has sent yet."""
    rows = await conn.fetch(
        """select order_id from attempt
            where order_id = any($1) and state = 'intent' and started_at = $2""",
        order_ids,
        began,
    )
    return {row["order_id"] for row in rows}


async def set_attempt_results(conn: Connection, results: Sequence[AttemptResult]) -> set[int]:
    """Record how attempts ended, one of each order at most; the ids of their orders.

    Those that are already decided otherwise are left out, and those that began at another time:
    a database that was restored gives the same numbers again.
    """
    rows = await conn.fetch(
        """update attempt a
              set state = r.state, upstream_id = r.upstream_id, reason = r.reason,
                  http_status = r.http_status, body = r.body, elapsed_ms = r.elapsed_ms,
                  refusal = r.refusal, finished_at = now()
             from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[],
                         $7::text[], $8::int[], $9::text[], $10::timestamptz[])
                  as r (order_id, number, state, upstream_id, reason, http_status, body,
                        elapsed_ms, refusal, started_at)
            where a.order_id = r.order_id and a.number = r.number
              and a.started_at = coalesce(r.started_at, a.started_at)
              and a.order_id = any($1) and a.state in ('intent', 'unknown')
           returning a.order_id""",
        *columns(
            results,
            *("order_id", "number", "state", "upstream_id", "reason", "http_status", "body"),
            *("elapsed_ms", "refusal", "started_at"),
        ),
    )
    return {row["order_id"] for row in rows}


async def set_attempts_unknown(
    conn: Connection, order_ids: Sequence[int], reason: str
) -> list[int]:
    """Freeze the intents of these orders: nothing proves whether they were sent."""
    rows = await conn.fetch(
        """update attempt set state = 'unknown', reason = $2
            where order_id = any($1) and state = 'intent' returning order_id""",
        order_ids,
        reason,
    )
    return [row["order_id"] for row in rows]


async def insert_placements(conn: Connection, placements: Sequence[Placement]) -> set[int]:
    """Claim upstream orders for orders of ours; the ids of those that have theirs now.

    Left out are those whose upstream order belongs to another order of ours.

    Raises:
        asyncpg.CardinalityViolationError: when two of the placements are the same upstream order.
    """
    rows = await conn.fetch(
        """insert into placement (provider_id, upstream_id, order_id)
           select * from unnest($1::int[], $2::text[], $3::int[])
           on conflict (provider_id, upstream_id) do update set order_id = excluded.order_id
            where placement.order_id = excluded.order_id
           returning order_id""",
        *columns(placements, "provider_id", "upstream_id", "order_id"),
    )
    return {row["order_id"] for row in rows}


async def list_placed(conn: Connection, provider_id: int, upstream_ids: Sequence[str]) -> set[str]:
    """Those of a provider's orders that belong to an order of ours."""
    if not upstream_ids:
        return set()
    rows = await conn.fetch(
        "select upstream_id from placement where provider_id = $1 and upstream_id = any($2)",
        provider_id,
        upstream_ids,
    )
    return {row["upstream_id"] for row in rows}


async def insert_events(conn: Connection, changes: Sequence[OrderChange]) -> None:
    """Append the moves to the orders' histories."""
    orders = [change.order for change in changes]
    await conn.execute(
        """insert into order_event (order_id, version, from_state, to_state, cause)
           select id, version + 1, from_state, to_state, cause
             from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::text[])
                  as c (id, version, from_state, to_state, cause)""",
        *columns(orders, "id", "version", "state"),
        *columns(changes, "state", "cause"),
    )


async def list_attempts(conn: Connection, order_id: int) -> list[AttemptRecord]:
    """All submissions of an order, oldest first."""
    rows = await conn.fetch(
        """select a.number, p.name as provider, a.state, a.upstream_id, a.reason, a.http_status,
                  a.started_at, a.finished_at, a.refusal
             from attempt a join provider p on p.id = a.provider_id
            where a.order_id = $1 order by a.number""",
        order_id,
    )
    return [
        AttemptRecord(
            **{
                **row,
                "state": AttemptState(row["state"]),
                "refusal": RefusalGroup(row["refusal"]) if row["refusal"] else None,
            }
        )
        for row in rows
    ]


async def get_withheld_for(conn: Connection, order_id: int, reasons: Sequence[str]) -> timedelta:
    """How long every attempt of an order, up to its last, was not sent for one of the reasons."""
    waited: timedelta = await conn.fetchval(
        """select coalesce(now() - min(started_at), '0') from attempt
            where order_id = $1
              and number > (select coalesce(max(number), 0) from attempt
                             where order_id = $1
                               and not (state = 'not_sent' and reason = any($2)))""",
        order_id,
        reasons,
    )
    return waited


async def list_states(conn: Connection, order_id: int) -> list[OrderState]:
    """The states that an order has gone through, oldest first."""
    rows = await conn.fetch(
        """select coalesce(
                      (select from_state from order_event where order_id = $1 and version = 1),
                      (select state from orders where id = $1)) as state, 0 as version
           union all select to_state, version from order_event where order_id = $1
           order by version""",
        order_id,
    )
    return [OrderState(row["state"]) for row in rows]
