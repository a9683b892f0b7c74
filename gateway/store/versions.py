"""The counters that tell a process that what it has cached is old, and the ids handed out."""

from gateway.store.connection import Connection

ORDER_ID_BLOCK = 64
#: Leased ids that were not given for so long are dropped: their range may be detached some day.
ORDER_ID_SECONDS = 600


async def get_catalogue_version(conn: Connection) -> int:
    """Grows with every change of a service or a route."""
    return int(await conn.fetchval("select catalogue from version"))


async def get_database_mark(conn: Connection) -> str:
    """Tells this database from others that share a Valkey with it.

    Made of when it was first migrated and of its number on its server, which a failover keeps. A
    copy may have both in common with its original: a restored one has a mark of its own.
    """
    mark = await conn.fetchval(
        """select coalesce((select mark from version),
                           md5(extract(epoch from min(applied_at)) || '/' ||
                               (select oid from pg_database where datname = current_database())))
             from migration"""
    )
    return str(mark)[:8]


async def set_new_mark(conn: Connection) -> None:
    """Make the database another one than that whose copy it is."""
    await conn.execute("update version set mark = md5(gen_random_uuid()::text)")


async def lock_catalogue_version(conn: Connection) -> int:
    """The version, which then stays until the transaction ends."""
    return int(await conn.fetchval("select catalogue from version for share"))


async def lease_order_ids(conn: Connection, blocks: int) -> list[int]:
    """First ids of ``blocks`` blocks of ``ORDER_ID_BLOCK`` order ids, now the caller's alone."""
    rows = await conn.fetch("select nextval('order_id') as id from generate_series(1, $1)", blocks)
    return [row["id"] for row in rows]


async def make_order_ranges(conn: Connection) -> int:
    """Create the tables for the ranges of order ids that come next; returns how many."""
    return int(await conn.fetchval("select make_order_ranges()"))


async def insert_barrier(conn: Connection) -> None:
    """One tiny COMMIT: when it returns, every earlier one is as safe as it is."""
    await conn.execute("select pg_logical_emit_message(true, 'smm-gateway', 'barrier')")
