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


async def insert_beat(conn: Connection, beat: Beat) -> None:
    """Say that a process is alive."""
    await conn.execute(
        """insert into process (id, role, host, pid, version, spool_entries)
           values ($1, $2, $3, $4, $5, $6)
           on conflict (id) do update
              set spool_entries = excluded.spool_entries, beat_at = now()""",
        beat.id,
        beat.role,
        beat.host,
        beat.pid,
        beat.version,
        beat.spool_entries,
    )


async def delete_process(conn: Connection, process_id: str) -> None:
    """A process has stopped in order."""
    await conn.execute("delete from process where id = $1", process_id)


async def delete_silent_processes(conn: Connection) -> None:
    """Forget processes that have said nothing for a day: they were killed."""
    await conn.execute("delete from process where beat_at < now() - interval '1 day'")


async def list_processes(conn: Connection) -> list[ProcessState]:
    """The processes that have said something within a day, those of one role together."""
    rows = await conn.fetch(
        """select id, role, host, pid, version, spool_entries, beat_at from process
            order by role, host, pid, id"""
    )
    return [ProcessState(*row) for row in rows]
