"""What blind retries are recognised by: orders whose answer may be lost, and active links."""

from collections.abc import Collection, Mapping, Sequence

from gateway.store.connection import Connection
from schemas.orders import FINAL_STATES, OrderMark, UnreceivedOrder

_ENDED = sorted(FINAL_STATES)


async def list_unreceived(
    conn: Connection, wanted: Collection[tuple[int, int]], *, window_ms: int, unsure_ms: int
) -> list[UnreceivedOrder]:
    """Open orders of the last ``window_ms`` whose answer is not known to have been received.

    ``wanted`` are (reseller id, fingerprint) pairs. An order is ``fresh`` for ``unsure_ms``.
    """
    rows = await conn.fetch(
        """select u.reseller_id, u.fingerprint, u.order_id,
                   u.at > now() - $4 * interval '1 ms'
              from unreceived u
              join unnest($1::int[], $2::bigint[]) as asked (reseller_id, fingerprint)
                   using (reseller_id, fingerprint)
              join orders o on o.id = u.order_id and o.state <> all($5)
             where u.at > now() - $3 * interval '1 ms'
             order by u.order_id""",
        [reseller_id for reseller_id, _ in wanted],
        [fingerprint for _, fingerprint in wanted],
        window_ms,
        unsure_ms,
        _ENDED,
    )
    return [UnreceivedOrder(OrderMark(*row[:3]), fresh=row[3]) for row in rows]


async def insert_unreceived(
    conn: Connection, sent: Sequence[OrderMark], received: Sequence[OrderMark]
) -> None:
    """Remember orders that are about to be answered, and forget those whose answer arrived."""
    await conn.execute(
        """with gone as (
               delete from unreceived u
                using unnest($4::int[], $5::bigint[], $6::int[])
                      as r (reseller_id, fingerprint, order_id)
                where (u.reseller_id, u.fingerprint, u.order_id)
                      = (r.reseller_id, r.fingerprint, r.order_id))
           insert into unreceived (reseller_id, fingerprint, order_id)
           select * from unnest($1::int[], $2::bigint[], $3::int[])""",
        *_columns(sent),
        *_columns(received),
    )


async def set_unreceived_fresh(conn: Connection, marks: Sequence[OrderMark]) -> None:
    """Orders whose answer was delayed are about to be answered only now."""
    await conn.execute(
        """update unreceived u set at = now()
             from unnest($1::int[], $2::bigint[], $3::int[])
                  as m (reseller_id, fingerprint, order_id)
            where (u.reseller_id, u.fingerprint, u.order_id)
                  = (m.reseller_id, m.fingerprint, m.order_id)""",
        *_columns(marks),
    )


def _columns(marks: Sequence[OrderMark]) -> tuple[list[int], list[int], list[int]]:
    return (
        [mark.reseller_id for mark in marks],
        [mark.fingerprint for mark in marks],
        [mark.order_id for mark in marks],
    )


async def delete_old_unreceived(conn: Connection, window_ms: int) -> None:
    """Forget orders that are too old to be asked for again."""
    await conn.execute("delete from unreceived where at <= now() - $1 * interval '1 ms'", window_ms)


async def list_active_links(
    conn: Connection, wanted: Collection[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Those of the (reseller id, fingerprint) pairs that an open order has."""
    rows = await conn.fetch(
        """select a.reseller_id, a.fingerprint
              from active_link a
              join unnest($1::int[], $2::bigint[]) as asked (reseller_id, fingerprint)
                   using (reseller_id, fingerprint)
              join orders o on o.id = a.order_id and o.state <> all($3)""",
        [reseller_id for reseller_id, _ in wanted],
        [fingerprint for _, fingerprint in wanted],
        _ENDED,
    )
    return {(row[0], row[1]) for row in rows}


async def insert_active_links(conn: Connection, links: Mapping[tuple[int, int], int]) -> None:
    """Remember the orders, by (reseller id, fingerprint), that now have these links."""
    await conn.execute(
        """insert into active_link (reseller_id, fingerprint, order_id)
           select * from unnest($1::int[], $2::bigint[], $3::int[])
           on conflict (reseller_id, fingerprint) do update set order_id = excluded.order_id""",
        [reseller_id for reseller_id, _ in links],
        [fingerprint for _, fingerprint in links],
        list(links.values()),
    )


async def delete_ended_links(conn: Connection) -> None:
    """Forget links whose order has ended, or whose range was detached.

    One look-up for each link: a join may become a walk through all orders.
    """
    await conn.execute(
        """delete from active_link a
            where coalesce((select o.state from orders o where o.id = a.order_id), 'completed')
                  = any($1)""",
        _ENDED,
    )
