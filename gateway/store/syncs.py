"""Where each provider's catalogue stands, and who is just reading it."""

from collections.abc import Sequence

from gateway.store.connection import Connection, Record
from schemas.changes import SyncRecord


def _sync(row: Record) -> SyncRecord:
    return SyncRecord(**{**row, "known": frozenset(row["known"])})


async def insert_syncs(conn: Connection, provider_ids: Sequence[int], sync_ms: int) -> None:
    """Plan the first sync of those providers that have none, each at its own time within
    ``sync_ms``.
    """
    await conn.execute(
        """insert into catalogue_sync (provider_id, next_at)
           select id, now() + $2 * (0.9 + 0.2 * random()) * interval '1 ms' from provider
            where id = any($1) and id not in (select provider_id from catalogue_sync)
           on conflict do nothing""",
        provider_ids,
        sync_ms,
    )


async def claim_sync(conn: Connection, provider_ids: Sequence[int], lease_ms: int) -> int | None:
    """One of these providers whose catalogue is due, for the caller alone until the lease ends."""
    found: int | None = await conn.fetchval(
        """update catalogue_sync set next_at = now() + $2 * interval '1 ms'
            where provider_id = (select provider_id from catalogue_sync
                                  where provider_id = any($1) and next_at <= now()
                                  order by next_at limit 1 for update skip locked)
           returning provider_id""",
        provider_ids,
        lease_ms,
    )
    return found


async def list_syncs(conn: Connection) -> list[SyncRecord]:
    """Where all catalogues stand."""
    rows = await conn.fetch(
        """select s.provider_id, p.name as provider, s.good_at, s.rows, s.known, s.failure
             from catalogue_sync s join provider p on p.id = s.provider_id order by s.provider_id"""
    )
    return [_sync(row) for row in rows]


async def get_sync(conn: Connection, provider_id: int) -> SyncRecord | None:
    """Where a provider's catalogue stands; None before it was ever read."""
    row = await conn.fetchrow(
        """select s.provider_id, p.name as provider, s.good_at, s.rows, s.known, s.failure
             from catalogue_sync s join provider p on p.id = s.provider_id
            where s.provider_id = $1""",
        provider_id,
    )
    return _sync(row) if row else None


async def insert_sync_good(
    conn: Connection, provider_id: int, rows: int, known: Sequence[str], sync_ms: int
) -> None:
    """A catalogue was read for the first time, as ``set_sync_good``.

    Where one was taken over before, nothing changes: what it is compared with next, and when,
    is for syncs alone, which also apply its prices.
    """
    await conn.execute(
        """insert into catalogue_sync (provider_id, next_at, good_at, rows, known)
           values ($1, now() + $4 * (0.9 + 0.2 * random()) * interval '1 ms', now(), $2, $3)
           on conflict (provider_id) do update
              set good_at = excluded.good_at, rows = excluded.rows, known = excluded.known
            where catalogue_sync.good_at is null""",
        provider_id,
        rows,
        known,
        sync_ms,
    )


async def set_sync_good(
    conn: Connection, provider_id: int, rows: int, known: Sequence[str], sync_ms: int
) -> None:
    """The catalogue was taken over, with so many sound rows; ``known`` are the ids of all."""
    await conn.execute(
        """insert into catalogue_sync (provider_id, next_at, good_at, rows, known)
           values ($1, now() + $4 * (0.9 + 0.2 * random()) * interval '1 ms', now(), $2, $3)
           on conflict (provider_id) do update
              set next_at = excluded.next_at, good_at = excluded.good_at, rows = excluded.rows,
                  known = excluded.known, failure = null, failed_at = null""",
        provider_id,
        rows,
        known,
        sync_ms,
    )


async def set_sync_due(conn: Connection, provider_id: int) -> None:
    """Have a catalogue read soon, if it is read at all."""
    await conn.execute(
        "update catalogue_sync set next_at = now() where provider_id = $1", provider_id
    )


async def set_sync_failed(conn: Connection, provider_id: int, failure: str, again_ms: int) -> None:
    """Nothing was taken over, and why; it is tried again after ``again_ms``."""
    await conn.execute(
        """insert into catalogue_sync (provider_id, next_at, failure, failed_at)
           values ($1, now() + $3 * (0.9 + 0.2 * random()) * interval '1 ms', $2, now())
           on conflict (provider_id) do update
              set next_at = excluded.next_at, failure = excluded.failure,
                  failed_at = excluded.failed_at""",
        provider_id,
        failure,
        again_ms,
    )


async def list_catalogue_ages(conn: Connection) -> dict[str, float]:
    """Seconds since each provider's catalogue was last taken over, by the provider's name."""
    rows = await conn.fetch(
        """select p.name, extract(epoch from now() - s.good_at)::float8
             from catalogue_sync s join provider p on p.id = s.provider_id
            where s.good_at is not null"""
    )
    return {row[0]: row[1] for row in rows}
