"""Requests to cancel orders. What becomes of an order and its money is the order's own state."""

from collections.abc import Sequence

from gateway.store.connection import Connection, columns
from schemas.aftercare import CancelChange, CancelRecord, CancelState, ClaimedCancel


async def insert_cancellations(
    conn: Connection, order_ids: Sequence[int], state: CancelState
) -> None:
    """Requests for orders that the caller has locked; each takes the place of an earlier one."""
    await conn.execute(
        """insert into cancellation (order_id, state) select unnest($1::int[]), $2
           on conflict (order_id) do update
              set state = excluded.state, reason = null, tries = 0, next_at = now(),
                  requested_at = now(), updated_at = now()""",
        order_ids,
        state,
    )


async def list_settleable_cancels(conn: Connection, limit: int) -> list[int]:
    """Orders with an open request that nobody upstream needs to be asked for: not sent, or over."""
    rows = await conn.fetch(
        """select c.order_id from cancellation c join orders o on o.id = c.order_id
            where c.state = 'requested'
              and o.state in ('queued', 'completed', 'partial', 'canceled', 'failed')
            order by c.order_id limit $1""",
        limit,
    )
    return [row["order_id"] for row in rows]


async def set_cancellations_closed(
    conn: Connection, order_ids: Sequence[int], state: CancelState
) -> None:
    """Close the open requests of orders that the caller has locked."""
    await conn.execute(
        """update cancellation set state = $2, updated_at = now()
            where order_id = any($1) and state = 'requested'""",
        order_ids,
        state,
    )


async def claim_cancellations(
    conn: Connection, provider_id: int, *, limit: int, lease_ms: int
) -> list[ClaimedCancel]:
    """Take the requests that a provider can be asked; nobody else asks before the lease ends."""
    rows = await conn.fetch(
        """with due as (
               select c.order_id, o.upstream_id
                 from cancellation c join orders o on o.id = c.order_id
                where c.state = 'requested' and c.next_at <= now()
                  and o.provider_id = $1 and o.state in ('placed', 'in_progress')
                order by c.next_at limit $2 for update of c skip locked)
           update cancellation c
              set next_at = now() + $3 * interval '1 ms', tries = c.tries + 1
             from due where c.order_id = due.order_id
           returning c.order_id, due.upstream_id, c.tries""",
        provider_id,
        limit,
        lease_ms,
    )
    return [ClaimedCancel(*row) for row in rows]


async def set_cancellations(conn: Connection, changes: Sequence[CancelChange]) -> list[int]:
    """Write what upstreams answered to requests that are still open; returns the order ids."""
    rows = await conn.fetch(
        """update cancellation c
              set state = g.state, reason = g.reason, updated_at = now(),
                  next_at = now() + g.next_in * interval '1 ms'
             from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::bigint[])
                  as g (order_id, tries, state, reason, next_in)
            where c.order_id = g.order_id and c.tries = g.tries and c.state = 'requested'
           returning c.order_id""",
        *columns(changes, "order_id", "tries", "state", "reason", "next_in"),
    )
    return [row["order_id"] for row in rows]


async def get_cancellation(conn: Connection, order_id: int) -> CancelRecord | None:
    """The newest request to cancel an order."""
    row = await conn.fetchrow(
        "select state, reason, tries, requested_at from cancellation where order_id = $1", order_id
    )
    return CancelRecord(CancelState(row[0]), *row[1:]) if row else None
