"""Balances and ledger entries. Only ``gateway.money.ledger`` writes through this module."""

from collections.abc import Sequence

from gateway.store.connection import Connection, columns
from schemas.ledger import Balance, Entry
from schemas.money import Micros


async def lock_balances(conn: Connection, reseller_ids: Sequence[int]) -> list[Balance]:
    """Lock the balances until the transaction ends, in id order so that no two wait in a ring."""
    rows = await conn.fetch(
        """select reseller_id, amount, floor, entries from balance
            where reseller_id = any($1) order by reseller_id for no key update""",
        reseller_ids,
    )
    return [Balance(*row) for row in rows]


async def lock_free_balances(conn: Connection, reseller_ids: Sequence[int]) -> list[Balance]:
    """As ``lock_balances``, without those that another transaction holds."""
    rows = await conn.fetch(
        """select reseller_id, amount, floor, entries from balance
            where reseller_id = any($1) order by reseller_id for no key update skip locked""",
        reseller_ids,
    )
    return [Balance(*row) for row in rows]


async def insert_entries(
    conn: Connection,
    entries: Sequence[Entry],
    entries_before: Sequence[int],
    after: Sequence[Balance],
) -> int:
    """Append movements, and move locked balances to what they become.

    Returns how many balances were as expected: with ``entries_before`` entries so far, and at or
    above their floor afterwards if they fall, whatever the caller computed.
    """
    return int(
        await conn.fetchval(
            """with posted as (
                   insert into entry (reseller_id, position, source, destination, amount, cause,
                                      order_id, step, balance_after, note)
                   select * from unnest($1::new_entry[])),
               moved as (
                   update balance b set amount = c.amount, entries = c.entries
                     from unnest($2::bigint[], $3::int[], $4::bigint[], $5::bigint[])
                          as c (entries_before, reseller_id, amount, entries)
                    where b.reseller_id = c.reseller_id and b.entries = c.entries_before
                      and (c.amount >= b.floor or c.amount >= b.amount)
                   returning b.reseller_id)
               select count(*) from moved""",
            entries,
            entries_before,
            *columns(after, "reseller_id", "amount", "entries"),
        )
    )


async def set_floor(conn: Connection, reseller_id: int, floor: Micros) -> bool:
    """Let purchases take a balance down to ``floor``; False when it lies below that already."""
    tag = await conn.execute(
        "update balance set floor = $2 where reseller_id = $1 and amount >= $2", reseller_id, floor
    )
    return tag == "UPDATE 1"


async def get_balances(conn: Connection, reseller_ids: Sequence[int]) -> dict[int, Micros]:
    """Stored balances by reseller id."""
    rows = await conn.fetch(
        "select reseller_id, amount from balance where reseller_id = any($1)", reseller_ids
    )
    return {row["reseller_id"]: row["amount"] for row in rows}


async def count_entries(conn: Connection, reseller_id: int) -> int:
    """How many movements a reseller's statement has."""
    return int(
        await conn.fetchval("select entries from balance where reseller_id = $1", reseller_id)
    )


async def list_entries(conn: Connection, order_id: int) -> list[Entry]:
    """All movements of one order, oldest first."""
    rows = await conn.fetch(
        """select reseller_id, position, source, destination, amount, cause, order_id, step,
                  balance_after, note
             from entry where order_id = $1 order by position""",
        order_id,
    )
    return [Entry(*row) for row in rows]
