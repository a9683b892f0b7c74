"""Refills: the rows that are the requests, the jobs and the queue in one."""

from collections.abc import Sequence

from gateway.store.connection import Connection, Record, columns
from schemas.aftercare import (
    CancelState,
    ClaimedRefill,
    NewRefill,
    PolledRefill,
    RefillChange,
    RefillRecord,
    RefillState,
    Terms,
)


async def list_terms(conn: Connection, order_ids: Sequence[int]) -> dict[int, Terms]:
    """What decides about refills and cancellations of orders, by order id."""
    rows = await conn.fetch(
        """select o.id, s.refill, s.refill_days, s.cancel, o.ended_at,
                  exists (select from refill r where r.order_id = o.id and r.state in
                      ('requested', 'sending', 'unknown', 'placed', 'in_progress'))
                      as refill_open,
                  (select max(r.requested_at) from refill r where r.order_id = o.id)
                      as last_refill_at,
                  c.state as cancel_state
             from orders o
             join service s on s.id = o.service_id
             left join cancellation c on c.order_id = o.id
            where o.id = any($1)""",
        order_ids,
    )
    return {row["id"]: _terms(row) for row in rows}


def _terms(row: Record) -> Terms:
    return Terms(
        refill=row["refill"],
        refill_days=row["refill_days"],
        cancel=row["cancel"],
        ended_at=row["ended_at"],
        refill_open=row["refill_open"],
        last_refill_at=row["last_refill_at"],
        cancel_state=CancelState(row["cancel_state"]) if row["cancel_state"] else None,
    )


async def insert_refills(conn: Connection, refills: Sequence[NewRefill]) -> dict[int, int]:
    """New refills, as ``requested``; returns their ids by order id.

    Raises:
        asyncpg.UniqueViolationError: when an order has an open refill.
    """
    rows = await conn.fetch(
        """insert into refill (order_id, reseller_id, provider_id, upstream_order)
           select * from unnest($1::int[], $2::int[], $3::int[], $4::text[])
           returning order_id, id""",
        *columns(refills, "order_id", "reseller_id", "provider_id", "upstream_order"),
    )
    return {row["order_id"]: row["id"] for row in rows}


async def list_told_refills(
    conn: Connection, reseller_id: int, refill_ids: Sequence[int]
) -> dict[int, RefillState]:
    """The states of those refills that are the reseller's, by refill id."""
    rows = await conn.fetch(
        "select id, state from refill where id = any($1) and reseller_id = $2",
        refill_ids,
        reseller_id,
    )
    return {row["id"]: RefillState(row["state"]) for row in rows}


async def claim_refill(
    conn: Connection, provider_id: int, *, lease_ms: int
) -> ClaimedRefill | None:
    """Take the longest waiting refill of a provider for sending, ``requested`` to ``sending``."""
    row = await conn.fetchrow(
        """with taken as (
               select id from refill
                where provider_id = $1 and state = 'requested' and next_at <= now()
                order by next_at limit 1 for update skip locked)
           update refill r
              set state = 'sending', tries = r.tries + 1, updated_at = now(),
                  next_at = now() + $2 * interval '1 ms'
            where r.id = any(array(select id from taken))
           returning r.id, r.order_id, r.upstream_order, r.tries, r.updated_at""",
        provider_id,
        lease_ms,
    )
    return ClaimedRefill(*row) if row else None


async def set_refill_given_back(conn: Connection, refill: ClaimedRefill) -> bool:
    """Put a refill back that this claim has taken; False when it did not, or it was sent."""
    tag = await conn.execute(
        """update refill set state = 'requested', next_at = now(), updated_at = now()
            where id = $1 and tries = $2 and updated_at = $3 and state = 'sending'""",
        refill.id,
        refill.tries,
        refill.claimed_at,
    )
    return tag == "UPDATE 1"


async def set_refill_result(conn: Connection, tries: int, change: RefillChange) -> bool:
    """Record how a call ended; False when the refill is already decided otherwise."""
    tag = await conn.execute(
        """update refill
              set state = $3, upstream_id = coalesce($4, upstream_id), reason = $5,
                  next_at = coalesce(now() + $6 * interval '1 ms', 'infinity'),
                  updated_at = now(),
                  ended_at = case when $3 in ('completed', 'rejected', 'failed') then now() end
            where id = $1 and tries = $2 and state in ('sending', 'unknown')""",
        change.id,
        tries,
        change.state,
        change.upstream_id,
        change.reason,
        change.next_in,
    )
    return tag == "UPDATE 1"


async def set_refills_unknown(conn: Connection, reason: str) -> list[int]:
    """Freeze ``sending`` refills whose lease is over; returns their ids."""
    rows = await conn.fetch(
        """update refill set state = 'unknown', reason = $1, next_at = 'infinity',
                  updated_at = now()
            where state = 'sending' and next_at <= now() returning id""",
        reason,
    )
    return [row["id"] for row in rows]


async def claim_refill_polls(
    conn: Connection, provider_id: int, *, limit: int, lease_ms: int
) -> list[PolledRefill]:
    """Take the refills of a provider whose state is due; nobody else asks before the lease ends."""
    rows = await conn.fetch(
        """with due as (
               select id from refill
                where provider_id = $1 and state in ('placed', 'in_progress') and next_at <= now()
                order by next_at limit $2 for update skip locked)
           update refill r set next_at = now() + $3 * interval '1 ms'
            where r.id = any(array(select id from due))
           returning r.id, r.state, r.upstream_id, r.requested_at""",
        provider_id,
        limit,
        lease_ms,
    )
    return [PolledRefill(row[0], RefillState(row[1]), *row[2:]) for row in rows]


async def set_refills(conn: Connection, changes: Sequence[RefillChange]) -> list[int]:
    """Write what upstreams say of refills that are still open; returns the ids written."""
    rows = await conn.fetch(
        """update refill r
              set state = c.state, reason = coalesce(c.reason, r.reason),
                  next_at = coalesce(now() + c.next_in * interval '1 ms', 'infinity'),
                  updated_at = case when c.state = r.state then r.updated_at else now() end,
                  ended_at = case when c.state in ('completed', 'rejected', 'failed')
                                  then now() end
             from unnest($1::int[], $2::text[], $3::text[], $4::bigint[])
                  as c (id, state, reason, next_in)
            where r.id = c.id and r.state in ('placed', 'in_progress')
           returning r.id""",
        *columns(changes, "id", "state", "reason", "next_in"),
    )
    return [row["id"] for row in rows]


async def set_refill_closed(
    conn: Connection, refill_id: int, state: RefillState, reason: str
) -> bool:
    """An operator's word on a refill that the upstream leaves open; False when there is none."""
    tag = await conn.execute(
        """update refill set state = $2, reason = $3, next_at = 'infinity', updated_at = now(),
                  ended_at = now()
            where id = $1 and state in ('unknown', 'placed', 'in_progress')""",
        refill_id,
        state,
        reason,
    )
    return tag == "UPDATE 1"


async def list_refills(
    conn: Connection, *, state: RefillState | None, order_id: int | None, limit: int
) -> list[RefillRecord]:
    """The newest refills, of one state or order where named."""
    rows = await conn.fetch(
        """select f.id, f.order_id, r.name as reseller, p.name as provider, f.state,
                  f.upstream_id, f.reason, f.tries, f.requested_at, f.ended_at
             from refill f
             join reseller r on r.id = f.reseller_id
             join provider p on p.id = f.provider_id
            where ($1::text is null or f.state = $1) and ($2::int is null or f.order_id = $2)
            order by f.id desc limit $3""",
        state,
        order_id,
        limit,
    )
    return [RefillRecord(**{**row, "state": RefillState(row["state"])}) for row in rows]


async def count_open_refills(conn: Connection) -> dict[RefillState, int]:
    """Open refills by state."""
    rows = await conn.fetch(
        """select state, count(*) from refill
            where state in ('requested', 'sending', 'unknown', 'placed', 'in_progress')
            group by state"""
    )
    return {RefillState(row[0]): row[1] for row in rows}
