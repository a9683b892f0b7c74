"""Makes backups while the gateway runs, and removes old ones."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway.backups.record import DATA, PARTIAL, PREFIX, RECORD, describe, new_name
from gateway.embedded.binaries import client_program
from gateway.embedded.tools import run_tool
from gateway.errors import UserError
from gateway.store import servers
from gateway.store.connection import Pool
from gateway.store.servers import Server

_PERCENT = re.compile(r"\((\d+)%\)")
_TOOL = "pg_basebackup"


@dataclass(frozen=True, slots=True)
class Source:
    """The server to copy: ``pool`` is the application's view of it, ``url`` is who copies it.

    ``archive`` is where it keeps its WAL, when it does.
    """

    pool: Pool
    url: str = field(repr=False)
    archive: Path | None
    embedded: bool


async def create_backup(source: Source, into: Path, tell: Callable[[str], None]) -> Path:
    """Copy the whole server, with the WAL that makes the copy consistent, below ``into``.

    What is committed when it begins is in it. A copy that is cut off keeps a name that ends in
    ``.partial`` and has no record, so that nothing takes it for a backup.

    Raises:
        UserError, EmbeddedError: when it cannot be made.
    """
    server = await _look(source.pool)
    program = client_program(_TOOL, server.major)
    if program is None:
        raise UserError(
            f"the server is PostgreSQL {server.major}, and this machine has no {_TOOL} of that "
            "version: install it, or back the server up where it runs"
        )
    if not (server.may_copy or source.embedded):
        raise UserError(
            f"the role {server.role} may not copy the server: let a superuser run "
            f"`alter role {server.role} replication`, and allow it replication in pg_hba.conf"
        )
    name = new_name(datetime.now(UTC))
    draft, whole = into / f"{name}{PARTIAL}", into / name
    _make_folder(into, draft)
    try:
        await _copy(program, source.url, draft / DATA, tell)
        describe(
            draft,
            postgres=server.major,
            database=server.database,
            owner=server.owner,
            started_at=server.now.isoformat(),
            finished_at=(await _look(source.pool)).now.isoformat(),
            archive=str(source.archive) if source.archive else None,
        )
        _sync(draft)
        draft.rename(whole)
        _sync(into)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return whole


def prune(into: Path, keep: int) -> list[Path]:
    """Delete all whole backups below ``into`` but the ``keep`` newest; returns what was deleted."""
    whole = sorted(p for p in into.glob(f"{PREFIX}*Z") if (p / RECORD).exists())
    old = whole[:-keep]
    for backup in old:
        # Half deleted it must not pass for a whole one.
        doomed = backup.with_name(f"{backup.name}{PARTIAL}")
        backup.rename(doomed)
        shutil.rmtree(doomed)
    return old


async def _look(pool: Pool) -> Server:
    async with pool.acquire() as conn:
        return await servers.get_server(conn)


def _make_folder(into: Path, draft: Path) -> None:
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
    except FileExistsError:
        raise UserError(f"{draft} exists: another backup is being made there") from None
    except OSError as error:
        raise UserError(f"cannot make {draft} ({error.strerror}): choose another folder") from None


async def _copy(program: Path, url: str, to: Path, tell: Callable[[str], None]) -> None:
    percent = -1

    def heard(line: str) -> None:
        nonlocal percent
        found = _PERCENT.search(line)
        if found and int(found[1]) > percent:
            percent = int(found[1])
            tell(f"copying: {percent} %")

    options = ["--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256"]
    await run_tool(program, [f"--pgdata={to}", *options, "--no-password", "--progress"], url, heard)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
