"""The resellers' own names for their orders: each is used once in an order's whole life."""

from collections.abc import Mapping, Sequence

from gateway.store.connection import Connection
from schemas.orders import NamedOrder


async def list_named_orders(
    conn: Connection, names: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], NamedOrder]:
    """The orders placed under these (reseller id, external id) pairs; others are left out.

    Of an order whose range was detached only the id is known: its service is 0.
    """
    rows = await conn.fetch(
        """select x.reseller_id, x.external_id, x.order_id, coalesce(o.service_id, 0),
                  coalesce(o.link, ''), coalesce(o.quantity, 0), o.parameters, s.runs,
                  s.interval_minutes,
                  coalesce(o.created_at > now() - interval '1 minute', false)
             from external_id x
             join unnest($1::int[], $2::text[]) as asked (reseller_id, external_id)
                  using (reseller_id, external_id)
             left join orders o on o.id = x.order_id
             left join schedule s on s.order_id = o.id and s.interval_minutes is not null""",
        [reseller_id for reseller_id, _ in names],
        [external_id for _, external_id in names],
    )
    return {(row[0], row[1]): NamedOrder(*row[2:]) for row in rows}


async def insert_external_ids(conn: Connection, orders: Mapping[tuple[int, str], int]) -> None:
    """Name accepted orders: order ids by (reseller id, external id).

    Raises:
        asyncpg.UniqueViolationError: when a name is taken; its transaction must not commit.
    """
    await conn.execute(
        """insert into external_id (reseller_id, external_id, order_id)
           select * from unnest($1::int[], $2::text[], $3::int[])""",
        [reseller_id for reseller_id, _ in orders],
        [external_id for _, external_id in orders],
        list(orders.values()),
    )
