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


async def insert_entries(conn: Connection, entries: Sequence[Entry]) -> None:
    """Append movements to the ledger."""
    await conn.execute(
        """insert into entry (reseller_id, position, source, destination, amount, cause, order_id,
                              step, balance_after, note)
           select * from unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                                $6::text[], $7::int[], $8::bigint[], $9::bigint[], $10::text[])""",
        *columns(
            entries,
            "reseller_id",
            "position",
            "source",
            "destination",
            "amount",
            "cause",
            "order_id",
            "step",
            "balance_after",
            "note",
        ),
    )


async def set_balances(
    conn: Connection, entries_before: Sequence[int], after: Sequence[Balance]
) -> int:
    """Move locked balances to what they become; returns how many were as expected.

    A balance that falls must stay at or above its floor, whatever the caller computed.
    """
    tag = await conn.execute(
        """update balance b set amount = c.amount, entries = c.entries
             from unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[])
                  as c (entries_before, reseller_id, amount, entries)
            where b.reseller_id = c.reseller_id and b.entries = c.entries_before
              and (c.amount >= b.floor or c.amount >= b.amount)""",
        entries_before,
        *columns(after, "reseller_id", "amount", "entries"),
    )
    return int(tag.split()[-1])


async def get_balances(conn: Connection, reseller_ids: Sequence[int]) -> dict[int, Micros]:
    """Stored balances by reseller id."""
    rows = await conn.fetch(
        "select reseller_id, amount from balance where reseller_id = any($1)", reseller_ids
    )
    return {row["reseller_id"]: row["amount"] for row in rows}


async def list_entries(conn: Connection, order_id: int) -> list[Entry]:
    """All movements of one order, oldest first."""
    rows = await conn.fetch(
        """select reseller_id, position, source, destination, amount, cause, order_id, step,
                  balance_after, note
             from entry where order_id = $1 order by position""",
        order_id,
    )
    return [Entry(*row) for row in rows]
