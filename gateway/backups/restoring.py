"""Brings backups back to life: to use them again, or only to see that one could."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.backups.record import DATA, BackupRecord, damage, read_record
from gateway.embedded import EmbeddedError, erase
from gateway.embedded.binaries import binaries_at
from gateway.embedded.place import Place, prepare
from gateway.embedded.postgres import RESTORING, Postgres
from gateway.embedded.recover import copy_data, recover
from gateway.embedded.state import Claim, make_secrets, save_secrets
from gateway.errors import UserError
from gateway.money.audit import Audit, audit
from gateway.store import servers, versions
from gateway.store.connection import Pool, open_pool, transaction
from gateway.store.migrate import MigrationError, migrate

Tell = Callable[[str], None]

#: Ids between the restored moment and the loss were told to clients. At least so many are passed
#: over, as many again as were ever given, and at most so many: they end at 2,147,483,647.
_SKIP_LEAST = 1_000_000
_SKIP_MOST = 20_000_000
#: Services are few, and their ids end at 999,999.
_SKIP_SERVICES = 1_000
PAUSE_REASON = "restored from a backup: what is queued may have been sent before"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A backup that came to life: what the audit says, which migrations it lacked."""

    audit: Audit
    migrations: Sequence[str]


@dataclass(frozen=True, slots=True)
class Restored(Outcome):
    """A restored data directory. ``paused`` are the providers that nothing is sent to for now."""

    next_order_id: int
    waiting_orders: int
    paused: Sequence[str]


@dataclass(frozen=True, slots=True)
class Moment:
    """Which moment to go back to with the WAL in ``archive``; None is the end of it."""

    archive: Path
    at: datetime | None


def ids_to_skip(last: int) -> int:
    """How many ids to pass over after a restore, when ``last`` was the last one in the backup."""
    return min(max(last, _SKIP_LEAST), _SKIP_MOST)


async def verify(backup: Path, *, quick: bool, tell: Tell) -> tuple[list[str], Outcome | None]:
    """What is damaged; when nothing is, and not ``quick``, also how a copy of it comes to life.

    The copy is made in the folder for temporary files (for root: below /var/lib/smm-gateway).

    Raises:
        UserError, EmbeddedError: when there is no backup, or it does not come to life.
    """
    record = read_record(backup)
    tell("comparing every file with its checksum")
    damaged = damage(backup, record)
    if damaged or quick:
        return damaged, None
    with tempfile.TemporaryDirectory(prefix="smm-verify-") as folder:
        scratch = Path(folder) / "data"
        place = prepare(scratch)
        try:
            async with _alive(place, backup, record, None, tell) as (pool, applied):
                tell("auditing it")
                return [], Outcome(await audit(pool), applied)
        finally:
            erase(scratch)


async def restore(backup: Path, data_dir: Path, moment: Moment | None, tell: Tell) -> Restored:
    """Make a data directory (an absolute path) of a backup; nothing is there when it fails.

    Ids that clients may have been told since are never given again, and every provider is paused:
    orders that were queued at that moment may have been sent since.

    Raises:
        UserError, EmbeddedError: when it cannot be made.
    """
    record = read_record(backup)
    _require_empty(data_dir)
    tell("comparing every file with its checksum")
    if damaged := damage(backup, record):
        raise UserError(f"{backup} is damaged ({damaged[0]}): restore another backup")
    place = prepare(data_dir)
    try:
        claim = Claim.take(data_dir)
        draft = _draft_of(place)
        try:
            async with _alive(draft, backup, record, moment, tell) as (pool, applied):
                restored = await _make_safe(pool, applied, tell)
            draft.pgdata.rename(place.pgdata)
            shutil.rmtree(draft.home)
        finally:
            claim.release()
    except BaseException:
        erase(data_dir)
        raise
    return restored


def _require_empty(data_dir: Path) -> None:
    try:
        if any(data_dir.iterdir()):
            raise UserError(f"{data_dir} is not empty: name a folder that is, or does not exist")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserError(f"{data_dir} cannot be used: {error.strerror}") from None


def _draft_of(place: Place) -> Place:
    """A place within the place: what is there when all power goes is not taken for the data."""
    draft = Place(place.data_dir, place.home / RESTORING, place.user)
    draft.make_home()
    return draft


@asynccontextmanager
async def _alive(
    place: Place, backup: Path, record: BackupRecord, moment: Moment | None, tell: Tell
) -> AsyncIterator[tuple[Pool, list[str]]]:
    """A copy of the backup at ``place``, running and up to date, and the migrations it lacked."""
    binaries = binaries_at(place, record.postgres)
    secrets = make_secrets()
    tell(f"copying {record.bytes / 1e6:.0f} MB")
    try:
        copy_data(backup / DATA, place)
    except (OSError, shutil.Error) as error:
        raise EmbeddedError(f"the backup cannot be copied to {place.home}: {error}") from None
    tell("replaying what was written while it was made" + (" and after it" if moment else ""))
    await recover(
        place,
        binaries,
        secrets,
        database=record.database,
        owner=record.owner,
        archive=moment.archive if moment else None,
        until=moment.at if moment else None,
    )
    # With its passwords from here on, since the data has them.
    save_secrets(place, secrets)
    server = Postgres(place, binaries, secrets)
    try:
        pool = await open_pool(await server.start(), size=3)
        try:
            async with pool.acquire() as conn:
                applied = await migrate(conn)
            yield pool, applied
        finally:
            await pool.close()
    except MigrationError as error:
        raise UserError(str(error)) from None
    finally:
        await server.stop()


async def _make_safe(pool: Pool, applied: list[str], tell: Tell) -> Restored:
    """See to it that nothing which happened after the restored moment can happen again."""
    async with pool.acquire() as conn, transaction(conn):
        skipped = ids_to_skip(await servers.get_last_order_id(conn))
        next_id = await servers.set_next_ids(conn, skipped, skipped, _SKIP_SERVICES)
        await versions.make_order_ranges(conn)
        await versions.set_new_mark(conn)
        paused = await servers.set_all_providers_paused(conn, PAUSE_REASON)
        waiting = await servers.count_waiting_orders(conn)
    tell("auditing it")
    return Restored(await audit(pool), applied, next_id, waiting, paused)
