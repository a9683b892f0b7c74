"""Backups that were made, and those that were proven."""

from datetime import datetime

from gateway.store.connection import Connection
from gateway.store.facts import BackupState


async def insert_backup(conn: Connection, finished_at: datetime, path: str, size: int) -> None:
    """A backup was made."""
    await conn.execute(
        """insert into backup (finished_at, path, bytes) values ($1, $2, $3)
           on conflict (finished_at) do nothing""",
        finished_at,
        path,
        size,
    )


async def set_backup_verified(conn: Connection, finished_at: datetime) -> bool:
    """A backup was proven to restore; False when it is none that was made of this database."""
    tag = await conn.execute(
        "update backup set verified_at = clock_timestamp() where finished_at = $1", finished_at
    )
    return tag == "UPDATE 1"


async def get_backup_state(conn: Connection) -> BackupState:
    """How old the newest backup and the newest proven one are."""
    row = await conn.fetchrow(
        """select (select max(finished_at) from backup),
                  (select max(finished_at) from backup where verified_at is not null),
                  (select min(applied_at) from migration), now()"""
    )
    assert row is not None
    return BackupState(*row)
