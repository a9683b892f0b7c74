"""The processes that run, by their own word."""

from dataclasses import dataclass

from gateway.store.connection import Connection
from gateway.store.facts import ProcessState


@dataclass(frozen=True, slots=True)
class Beat:
    """One sign of life."""

    id: str
    role: str
    host: str
    pid: int
    version: str
    spool_entries: int
    quarantined: int
    spool: str


async def insert_beat(conn: Connection, beat: Beat) -> None:
    """Say that a process is alive."""
    await conn.execute(
        """insert into process (id, role, host, pid, version, spool_entries, quarantined,
                                spool)
           values ($1, $2, $3, $4, $5, $6, $7, $8)
           on conflict (id) do update
              set spool_entries = excluded.spool_entries, quarantined = excluded.quarantined,
                  spool = excluded.spool, beat_at = now()""",
        beat.id,
        beat.role,
        beat.host,
        beat.pid,
        beat.version,
        beat.spool_entries,
        beat.quarantined,
        beat.spool,
    )


async def delete_process(conn: Connection, process_id: str) -> None:
    """A process has stopped in order."""
    await conn.execute("delete from process where id = $1", process_id)


async def set_spools_inherited(conn: Connection) -> None:
    """What a silent process held is another's, who has worked in the same folder for a while."""
    await conn.execute(
        """update process p set spool_entries = 0, quarantined = 0
            where p.spool_entries + p.quarantined > 0
              and p.beat_at < now() - interval '60 seconds'
              and exists (select from process heir
                           where heir.spool = p.spool and p.spool <> ''
                             and heir.beat_at > now() - interval '60 seconds'
                             and heir.beat_at > heir.started_at + interval '30 seconds')"""
    )


async def delete_silent_processes(conn: Connection) -> None:
    """Forget processes that have said nothing for a day: they were killed. Not those that held
    what nobody has taken over."""
    await conn.execute(
        """delete from process
            where beat_at < now() - interval '1 day' and spool_entries + quarantined = 0"""
    )


async def list_processes(conn: Connection) -> list[ProcessState]:
    """The processes that are not forgotten, those of one role together."""
    rows = await conn.fetch(
        """select id, role, host, pid, version, spool_entries, beat_at, quarantined, spool
             from process
            order by role, host, pid, id"""
    )
    return [ProcessState(*row) for row in rows]
