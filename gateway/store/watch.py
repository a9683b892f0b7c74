"""Where the watching audit stands, and what is new for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.store.checks.check import Check
from gateway.store.connection import Connection

#: Balances against their last entries: with the entries numbered without a gap and each balance
#: following from the last, that is the sum of all, and costs one look-up for each reseller.
LAST_ENTRIES = Check(
    "balance_is_history",
    "a stored balance is the sum of its entries",
    """select 'reseller ' || r.id
         from reseller r
         left join balance b on b.reseller_id = r.id
         left join lateral (select position, balance_after from entry e
                             where e.reseller_id = r.id order by position desc limit 1) e on true
        where b.amount is distinct from coalesce(e.balance_after, 0)
           or b.entries is distinct from coalesce(e.position, 0)""",
)


@dataclass(frozen=True, slots=True)
class Watch:
    """Where the watching audit stands. ``age_ms`` is since its last run; None before the first.

    ``checked`` are orders to be looked at again; ``swept_to`` and ``swept_entry`` (reseller,
    position) are how far old rows have been gone through again.
    """

    checked: Sequence[int]
    swept_to: int
    swept_entry: tuple[int, int]
    age_ms: int | None
    elapsed_ms: int
    broken: int
    warnings: int
    behind: bool


class SeenEntry(NamedTuple):
    """A ledger entry, and whether it follows from the one before it."""

    reseller_id: int
    position: int
    order_id: int | None
    balance_after: int
    sound: bool


async def lock_watch(conn: Connection) -> None:
    """Be the only one who audits in the background until the transaction ends.

    The first statement of a transaction: it takes no snapshot, so that the transaction's is made
    after whoever held the lock before has committed.

    Raises:
        asyncpg.LockNotAvailableError: when somebody else is at it.
    """
    await conn.execute("lock table audit_watch in share row exclusive mode nowait")


async def get_watch(conn: Connection) -> Watch:
    """Where the watching audit stands."""
    row = await conn.fetchrow(
        """select checked, swept_to, swept_reseller, swept_position,
                  (extract(epoch from clock_timestamp() - ran_at) * 1000)::bigint,
                  elapsed_ms, broken, warnings, behind
             from audit_watch"""
    )
    assert row is not None
    return Watch(row[0], row[1], (row[2], row[3]), *row[4:])


async def set_watch(conn: Connection, watch: Watch) -> None:
    """Where the watching audit stands after a run that has just ended."""
    await conn.execute(
        """update audit_watch
              set checked = $1, swept_to = $2, swept_reseller = $3, swept_position = $4,
                  ran_at = clock_timestamp(), elapsed_ms = $5, broken = $6, warnings = $7,
                  behind = $8""",
        watch.checked,
        watch.swept_to,
        *watch.swept_entry,
        watch.elapsed_ms,
        watch.broken,
        watch.warnings,
        watch.behind,
    )


async def list_new_entries(conn: Connection, limit: int) -> list[SeenEntry]:
    """Entries beyond the marks, by reseller and position."""
    rows = await conn.fetch(
        """select reseller_id, position, order_id, balance_after,
                  position = before + 1 and balance_after = balance_before + signed
             from (select e.*, lag(position, 1, marked) over w as before,
                          lag(balance_after, 1, marked_balance) over w as balance_before
                     from (select e.*, coalesce(m.position, 0) as marked,
                                  coalesce(m.balance, 0) as marked_balance
                             from balance b
                             left join audit_mark m on m.reseller_id = b.reseller_id
                             cross join lateral (
                                  select * from statement s
                                   where s.reseller_id = b.reseller_id
                                     and s.position > coalesce(m.position, 0)
                                   order by s.position limit $1) e
                            where b.entries > coalesce(m.position, 0)
                            order by b.reseller_id, e.position limit $1) e
                   window w as (partition by reseller_id order by position)) e
            order by reseller_id, position""",
        limit,
    )
    return [SeenEntry(*row) for row in rows]


async def list_old_entries(conn: Connection, after: tuple[int, int], limit: int) -> list[SeenEntry]:
    """Entries from (reseller, position) on, which was the last one looked at, without it."""
    rows = await conn.fetch(
        """select reseller_id, position, order_id, balance_after,
                  position = before + 1 and balance_after = balance_before + signed
             from (select s.*, lag(position, 1, 0::bigint) over w as before,
                          lag(balance_after, 1, 0::bigint) over w as balance_before
                     from (select * from statement where (reseller_id, position) >= ($1, $2)
                            order by reseller_id, position limit $3) s
                   window w as (partition by reseller_id order by position)) s
            where (reseller_id, position) > ($1, $2)
            order by reseller_id, position""",
        *after,
        limit + 1,
    )
    return [SeenEntry(*row) for row in rows]


async def insert_marks(conn: Connection, entries: Sequence[SeenEntry]) -> None:
    """These entries, one of each reseller, are the last ones that were looked at."""
    await conn.execute(
        """insert into audit_mark (reseller_id, position, balance)
           select * from unnest($1::int[], $2::bigint[], $3::bigint[])
           on conflict (reseller_id) do update
              set position = excluded.position, balance = excluded.balance""",
        [entry.reseller_id for entry in entries],
        [entry.position for entry in entries],
        [entry.balance_after for entry in entries],
    )


async def list_unfinished(conn: Connection) -> list[int]:
    """The ids of all orders that are open, or have something open, each from its small index."""
    rows = await conn.fetch(
        """select id from orders where state = 'scheduled'
           union select id from orders where state = 'queued'
           union select id from orders where state = 'sending'
           union select id from orders where state in ('placed', 'in_progress')
           union select id from orders where state in ('unknown', 'review')
           union select order_id from refill
                  where state in ('requested', 'sending', 'unknown', 'placed', 'in_progress')
           union select order_id from cancellation where state = 'requested'"""
    )
    return [row["id"] for row in rows]


async def list_family(conn: Connection, order_ids: Collection[int]) -> list[int]:
    """The parts and parents of these orders."""
    rows = await conn.fetch(
        """select order_id as id from run where parent_id = any($1::int[])
           union select parent_id from run where order_id = any($1::int[])""",
        order_ids,
    )
    return [row["id"] for row in rows]


async def get_last_order_id(conn: Connection) -> int:
    """No order has a higher id than the block that begins here."""
    return int(await conn.fetchval("select last_value from order_id"))


async def get_detached_at(conn: Connection, order_id: int) -> tuple[int, int] | None:
    """The detached range (first id, first one beyond) that an id lies in; None for others."""
    row = await conn.fetchrow(
        "select lower, upper from detached_range where lower <= $1 and upper > $1", order_id
    )
    return (row[0], row[1]) if row else None
