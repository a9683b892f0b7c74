"""Attempts, the events of an order's history, and which upstream order belongs to which of ours."""

from collections.abc import Sequence

from gateway.store.connection import Connection, columns
from schemas.order_records import AttemptRecord
from schemas.orders import AttemptResult, AttemptState, ClaimedOrder, OrderChange, OrderState


async def insert_attempts(
    conn: Connection, provider_id: int, orders: Sequence[ClaimedOrder]
) -> None:
    """The intent to send, with the event of the move; a second live attempt is refused.

    Raises:
        asyncpg.UniqueViolationError: when an order may already run upstream.
    """
    await conn.execute(
        """with event as (
               insert into order_event (order_id, version, from_state, to_state, cause)
               select id, version, 'queued', 'sending', 'claimed'
                 from unnest($2::int[], $3::int[]) as c (id, version))
           insert into attempt (order_id, number, provider_id, upstream_service)
           select id, number, $1, upstream_service
             from unnest($2::int[], $4::int[], $5::text[]) as c (id, number, upstream_service)""",
        provider_id,
        *columns(orders, "id", "version", "attempts", "upstream_service"),
    )


async def set_attempt_result(conn: Connection, result: AttemptResult) -> bool:
    """Record how an attempt ended; False when it is already decided otherwise."""
    tag = await conn.execute(
        """update attempt
              set state = $3, upstream_id = $4, reason = $5, http_status = $6, body = $7,
                  elapsed_ms = $8, refusal = $9, finished_at = now()
            where order_id = $1 and number = $2 and state in ('intent', 'unknown')""",
        result.order_id,
        result.number,
        result.state,
        result.upstream_id,
        result.reason,
        result.http_status,
        result.body,
        result.elapsed_ms,
        result.refusal,
    )
    return tag == "UPDATE 1"


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


async def insert_placement(
    conn: Connection, provider_id: int, upstream_id: str, order_id: int
) -> bool:
    """Claim an upstream order for one of ours; False when another order of ours has it."""
    tag = await conn.execute(
        """insert into placement (provider_id, upstream_id, order_id) values ($1, $2, $3)
           on conflict (provider_id, upstream_id) do update set order_id = excluded.order_id
            where placement.order_id = excluded.order_id""",
        provider_id,
        upstream_id,
        order_id,
    )
    return tag == "INSERT 0 1"


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
        """select a.number, p.name, a.state, a.upstream_id, a.reason, a.http_status,
                  a.started_at, a.finished_at
             from attempt a join provider p on p.id = a.provider_id
            where a.order_id = $1 order by a.number""",
        order_id,
    )
    return [AttemptRecord(row[0], row[1], AttemptState(row[2]), *row[3:]) for row in rows]


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
