"""Moves the database: to another version of PostgreSQL, or out of the embedded engines."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from gateway.database import UNREACHABLE
from gateway.embedded.binaries import binaries_at, client_program, find_binaries
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.place import Place, prepare
from gateway.embedded.postgres import UPGRADED, Postgres, finish_upgrade
from gateway.embedded.state import Claim, Secrets, load_secrets
from gateway.embedded.tools import run_tool
from gateway.errors import UserError
from gateway.money.audit import audit
from gateway.store import copying
from gateway.store.connection import Connection, Pool, open_pool, transaction
from gateway.store.migrate import MigrationError, migrate
from gateway.store.primary import BadAddress

Tell = Callable[[str], None]
_PIECES_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied, and checked against the original."""

    tables: int
    rows: int


@dataclass(frozen=True, slots=True)
class Upgraded(Moved):
    """A data directory that is of the bundled version now; ``kept`` is where the old data is."""

    before: int
    after: int
    kept: Path


async def upgrade(data_dir: Path, tell: Tell) -> Upgraded | None:
    """Bring the data of stopped engines to the bundled PostgreSQL; None when it is there already.

    All or nothing: the copy takes the place of the data when its rows and its books are seen to be
    right, and the old data stays beside it.

    Raises:
        UserError, EmbeddedError: when it cannot be done; the data is as before.
    """
    async with _claimed(data_dir) as (place, secrets, before):
        ours = binaries_at(place)
        if before == ours.postgres_major:
            return None
        draft = Place(place.data_dir, place.home / "upgrading", place.user)
        shutil.rmtree(draft.home, ignore_errors=True)
        draft.make_home()
        old = Postgres(place, binaries_at(place, before), secrets)
        new = Postgres(draft, ours, secrets)
        try:
            async with _running(old, tell) as source, _running(new, tell) as target:
                moved = await _move(source, target, ours.postgres_major, tell)
            kept = _put_in_place(place, draft, before)
        finally:
            shutil.rmtree(draft.home, ignore_errors=True)
        return Upgraded(moved.tables, moved.rows, before, ours.postgres_major, kept)


async def export(data_dir: Path, url: str, tell: Tell) -> Moved:
    """Copy the database of stopped engines into the empty database at ``url``, in one transaction.

    Raises:
        UserError, EmbeddedError: when it cannot be done; nothing is left there.
    """
    async with _claimed(data_dir) as (place, secrets, major):
        server = Postgres(place, binaries_at(place, major), secrets)
        async with _running(server, tell) as source:
            return await _move(source, url, max(major, find_binaries().postgres_major), tell)


@asynccontextmanager
async def _claimed(data_dir: Path) -> AsyncIterator[tuple[Place, Secrets, int]]:
    """The place of stopped engines, their passwords and version, ours alone."""
    place = _existing(data_dir)
    claim = Claim.take(data_dir)
    try:
        if not place.pgdata.exists():
            finish_upgrade(place)
        version = place.pgdata / "PG_VERSION"
        if not version.exists():
            raise EmbeddedError(f"{data_dir} holds no data: name another --data-dir")
        yield place, load_secrets(place), int(version.read_text(encoding="ascii"))
    finally:
        claim.release()


def _existing(data_dir: Path) -> Place:
    if not data_dir.is_dir():
        raise EmbeddedError(f"there is no data directory {data_dir}: name another --data-dir")
    return prepare(data_dir)


@asynccontextmanager
async def _running(server: Postgres, tell: Tell) -> AsyncIterator[str]:
    tell("starting PostgreSQL")
    try:
        yield await server.start()
    finally:
        await server.stop()


def _put_in_place(place: Place, draft: Place, before: int) -> Path:
    """Exchange the data; cut off between two renames, the next start finishes it."""
    upgraded = place.home / UPGRADED
    shutil.rmtree(upgraded, ignore_errors=True)
    draft.pgdata.rename(upgraded)
    kept = place.home / f"pgdata-{before}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    place.pgdata.rename(kept)
    finish_upgrade(place)
    return kept


async def _move(source_url: str, target_url: str, major: int, tell: Tell) -> Moved:
    """Copy a whole database, bring the copy up to date, and prove that it is right."""
    pg_dump = client_program("pg_dump", major)
    if pg_dump is None:
        raise EmbeddedError(f"this machine has no pg_dump of PostgreSQL {major}: install it")
    async with _open(source_url) as source, _open(target_url) as target:
        async with source.acquire() as theirs, target.acquire() as ours:
            if await copying.list_tables(ours):
                raise UserError("the database to copy into is not empty: make a new one for it")
            moved = await _copy(theirs, ours, pg_dump, source_url, tell)
        tell("auditing the copy")
        found = await audit(target)
        if not found.ok:
            first = found.broken[0]
            raise UserError(f"the audit of the copy failed ({first.check}: {first.row})")
        return moved


#: The server is away or will not have us, or its URL cannot be used.
_CANNOT_OPEN: tuple[type[Exception], ...] = (*UNREACHABLE, ValueError)


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Pool]:
    try:
        pool = await open_pool(url, size=2, unhurried=True)
    except BadAddress as error:
        raise UserError(f"the database's URL cannot be used: {error}") from None
    except _CANNOT_OPEN as error:
        kind = type(error).__name__
        raise UserError(f"the database cannot be reached ({kind}): check the URL") from None
    try:
        yield pool
    finally:
        await pool.close()


async def _copy(
    source: Connection, target: Connection, pg_dump: Path, source_url: str, tell: Tell
) -> Moved:
    schema = ["--schema-only", "--no-owner", "--no-privileges"]
    before, after = [
        await run_tool(pg_dump, [*schema, f"--section={section}"], source_url)
        for section in ("pre-data", "post-data")
    ]
    rows = 0
    try:
        async with transaction(target, unhurried=True):
            await copying.make_schema(target, before)
            tables = await copying.list_tables(source)
            for table in tables:
                rows += await _copy_table(source, target, table, tell)
            if sequences := await copying.list_sequences(source):
                await copying.set_sequences(target, sequences)
            tell("building the indexes")
            await copying.make_schema(target, after)
        await migrate(target)
    except asyncpg.PostgresError as error:
        raise UserError(f"the database to copy into refuses: {error}") from None
    except MigrationError as error:
        raise UserError(str(error)) from None
    return Moved(len(tables), rows)


async def _copy_table(
    source: Connection, target: Connection, table: copying.Table, tell: Tell
) -> int:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_PIECES_AHEAD)

    async def read() -> None:
        await copying.get_rows(source, table, pieces.put)
        await pieces.put(None)

    async def each() -> AsyncIterator[bytes]:
        while (piece := await pieces.get()) is not None:
            yield piece

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(copying.insert_rows(target, table, each()))
    number = await copying.count_rows(source, table)
    if await copying.count_rows(target, table) != number:
        raise UserError(f"the copy of {table.name} has not all its {number} rows")
    if number:
        tell(f"{table.name}: {number} rows")
    return number
