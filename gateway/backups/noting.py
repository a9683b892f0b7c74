"""Noting in the database which backups were made and proven, so that their age is known.

A backup is good without a note: what cannot be noted is told, and is no failure.
"""

from datetime import datetime
from pathlib import Path

import asyncpg

from gateway.backups.record import BackupRecord
from gateway.database import UNREACHABLE
from gateway.store import backups as store
from gateway.store.connection import Pool

#: An older version's database has no place for notes yet, or its role may not write.
_NOT_POSSIBLE: tuple[type[Exception], ...] = (
    asyncpg.UndefinedTableError,
    asyncpg.InsufficientPrivilegeError,
    *UNREACHABLE,
)


async def note_made(pool: Pool, record: BackupRecord, path: Path) -> bool:
    """Note a backup that was just made; whether that was possible."""
    try:
        async with pool.acquire() as conn:
            finished_at = datetime.fromisoformat(record.finished_at)
            await store.insert_backup(conn, finished_at, str(path), record.bytes)
    except _NOT_POSSIBLE:
        return False
    return True


async def note_verified(pool: Pool, record: BackupRecord) -> bool:
    """Note that a backup was proven; False when this database knows nothing of its making."""
    try:
        async with pool.acquire() as conn:
            finished_at = datetime.fromisoformat(record.finished_at)
            return await store.set_backup_verified(conn, finished_at)
    except _NOT_POSSIBLE:
        return False
