"""``smm-gateway backup``: make, check and restore copies of the whole database server."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from gateway.backups.creating import Source, create_backup, prune
from gateway.backups.noting import note_made, note_verified
from gateway.backups.record import LAST_BACKUP, BackupRecord, read_record
from gateway.backups.restoring import Moment, Outcome, Restored, restore, verify
from gateway.cli.session import (
    MASTER_KEYS_FILE,
    PEPPER_FILE,
    database_url_of,
    number,
    printing_flags,
    settings_of,
    show,
)
from gateway.config import Settings, data_dir_of
from gateway.database import connect
from gateway.embedded import EmbeddedError, archive_folder, superuser_url
from gateway.embedded.files import write_private
from gateway.errors import UserError
from gateway.log import configure_logging
from gateway.store.connection import Pool

_Result = TypeVar("_Result")
_LATEST = "latest"


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("backup", help="copies of the database: make, check, restore")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    created = verbs.add_parser("create", parents=[flags], help="copy the running database server")
    created.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="(DATA_DIR/backups)")
    created.add_argument("--keep", type=number, metavar="N", help="then delete all but the newest")
    created.set_defaults(run=_create)
    verified = verbs.add_parser("verify", parents=[flags], help="prove that a backup restores")
    verified.add_argument("backup", type=Path, metavar="PATH")
    verified.add_argument("--quick", action="store_true", help="only compare checksums")
    verified.set_defaults(run=_verify)
    restored = verbs.add_parser("restore", parents=[flags], help="make a data directory of one")
    restored.add_argument("backup", type=Path, metavar="PATH")
    restored.add_argument("--to", type=Path, metavar="DIR", required=True, help="empty or absent")
    restored.add_argument(
        "--until",
        metavar="TIME",
        help='go on from there to a moment, like "2026-01-31 12:00:00+00", or to the "latest"',
    )
    restored.set_defaults(run=_restore)


def run_to_its_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a job that cleans up behind itself when Ctrl-C or SIGTERM ends it.

    Raises:
        asyncio.CancelledError: when one of them did.
    """

    async def run() -> _Result:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, task.cancel)
        return await task

    return asyncio.run(run())


def tell(step: str) -> None:
    """Show that it goes on, apart from what the command prints."""
    print(step, file=sys.stderr, flush=True)


def _create(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    configure_logging("warning", settings.log.format)
    folder = arguments.folder or data_dir_of(settings) / "backups"
    made = run_to_its_end(_copy(settings, folder.absolute()))
    record = read_record(made)
    deleted = prune(folder, arguments.keep) if arguments.keep else []
    if settings.database.url is None:
        last = {"path": str(made), "at": record.finished_at, "bytes": record.bytes}
        write_private(data_dir_of(settings) / LAST_BACKUP, json.dumps(last))
    show(
        arguments,
        {"path": str(made), **_summary(record), "deleted": [str(path) for path in deleted]},
        text=lambda: _created(made, record, [path.name for path in deleted], settings),
    )
    return 0


async def _copy(settings: Settings, folder: Path) -> Path:
    # The application's role should not be one that may copy, and may be behind a PgBouncer.
    owner = settings.database.migration_url if settings.database.url else None
    url = owner.get_secret_value() if owner else database_url_of(settings)
    pool = await connect(settings, url)
    try:
        made = await create_backup(_source(settings, pool, url), folder, tell)
        if not await note_made(pool, read_record(made), made):
            tell("not noted in the database: it is not migrated, or away")
        return made
    finally:
        await pool.close()


def _source(settings: Settings, pool: Pool, url: str) -> Source:
    data_dir = data_dir_of(settings)
    if settings.database.url is not None:
        return Source(pool, url, None, embedded=False)
    kept = settings.backup.archive_dir
    archive = archive_folder(data_dir, kept) if kept else None
    return Source(pool, superuser_url(data_dir), archive, embedded=True)


def _summary(record: BackupRecord) -> dict[str, Any]:
    shown = ("postgres", "started_at", "finished_at", "bytes", "archive")
    return {name: getattr(record, name) for name in shown}


def _created(made: Path, record: BackupRecord, deleted: list[str], settings: Settings) -> str:
    folder, security = data_dir_of(settings), settings.security
    pepper = "SMM_SECURITY__PEPPER" if security.pepper else f"{folder / PEPPER_FILE}"
    keys = "SMM_SECURITY__MASTER_KEYS" if security.master_keys else f"{folder / MASTER_KEYS_FILE}"
    lines = [
        f"backup   {made}",
        f"size     {record.bytes / 1e6:.1f} MB",
        f"holds    all that was committed by {record.started_at}",
        "",
        f"NOT in it is the pepper ({pepper}): keep it apart, for without it no API key works.",
        f"NOT in it are the master keys ({keys}): without them no provider's key opens.",
        "It does hold what your customers ordered: keep it where only you can read it.",
        "Valkey needs no backup: wake-ups and limits are all that is in it.",
        *(f"deleted  {name}" for name in deleted),
    ]
    return "\n".join(lines)


def _verify(arguments: argparse.Namespace) -> int:
    configure_logging("warning", settings_of(arguments).log.format)
    damaged, outcome = run_to_its_end(verify(arguments.backup, quick=arguments.quick, tell=tell))
    sound = not damaged and (outcome is None or outcome.audit.ok)
    if sound and outcome is not None:
        _note_verified(arguments)
    shown: dict[str, Any] = {"ok": sound, "damaged": damaged}
    if outcome is not None:
        shown |= _outcome(outcome)
    show(arguments, shown, text=lambda: _verdict(damaged, outcome))
    return 0 if sound else 1


def _note_verified(arguments: argparse.Namespace) -> None:
    """Tell the database that a backup restores, where it can be reached from here."""
    settings = settings_of(arguments)

    async def note(url: str) -> bool:
        pool = await connect(settings, url)
        try:
            return await note_verified(pool, read_record(arguments.backup))
        finally:
            await pool.close()

    try:
        noted = asyncio.run(note(database_url_of(settings)))
    except (UserError, EmbeddedError):
        noted = False
    if not noted:
        tell("not noted in a database: none that knows this backup was reached")


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "audit": "ok" if outcome.audit.ok else [asdict(found) for found in outcome.audit.broken],
        "migrations": list(outcome.migrations),
    }


def _verdict(damaged: list[str], outcome: Outcome | None) -> str:
    if damaged:
        return "\n".join([*(f"DAMAGED  {text}" for text in damaged), "this backup is not whole"])
    if outcome is None:
        return "ok: every file is as it was when the backup was made"
    return "\n".join([*_audit_lines(outcome), "ok: it restores" if outcome.audit.ok else "BROKEN"])


def _audit_lines(outcome: Outcome) -> list[str]:
    lines = [f"BROKEN   {f.check}: {f.row} ({f.meaning})" for f in outcome.audit.broken]
    if outcome.audit.ok:
        lines = ["audit    ok: every invariant holds"]
    return [*lines, f"schema   {', '.join(outcome.migrations) or 'up to date'}"]


def _restore(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    configure_logging("warning", settings.log.format)
    moment = None
    if arguments.until is not None:
        moment = _moment(arguments.until, read_record(arguments.backup), settings)
    restored = run_to_its_end(restore(arguments.backup, arguments.to.absolute(), moment, tell))
    shown = {
        "data_dir": str(arguments.to),
        **_outcome(restored),
        "next_order_id": restored.next_order_id,
        "waiting_orders": restored.waiting_orders,
        "paused": list(restored.paused),
    }
    show(arguments, shown, text=lambda: _restored(arguments.to, restored))
    return 0 if restored.audit.ok else 1


def _moment(text: str, record: BackupRecord, settings: Settings) -> Moment:
    if record.archive is None:
        raise UserError(
            "--until needs the archive of what was written after the backup, and none was kept: "
            "set backup.archive_dir, restart, and make a new backup (docs/backup.md)"
        )
    archive = Path(record.archive)
    if settings.backup.archive_dir is not None:
        archive = settings.backup.archive_dir.absolute() / archive.name
    if not archive.is_dir():
        raise UserError(f"{archive}, the archive of this backup, is gone: set backup.archive_dir")
    if text == _LATEST:
        return Moment(archive, None)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f'--until {text}: write "2026-01-31 12:00:00+00" or "latest"') from None
    if at.tzinfo is None:
        raise UserError(f"--until {text}: add the time zone, like {text}+00 for UTC")
    if at < datetime.fromisoformat(record.finished_at):
        raise UserError(
            f"--until {text} is before the end of this backup ({record.finished_at}): "
            "restore an earlier backup"
        )
    return Moment(archive, at)


def _restored(data_dir: Path, restored: Restored) -> str:
    lines = [
        f"data     {data_dir}",
        *_audit_lines(restored),
        f"ids      orders go on from {restored.next_order_id}: those told to clients since the",
        "         backup are never given again (nor ids of refills and services)",
        f"queue    {restored.waiting_orders} orders wait; some may have been sent since the backup",
        f"paused   {', '.join(restored.paused) or 'no provider'}",
        "",
        "Put pepper and master keys in place (SMM_SECURITY__PEPPER and SMM_SECURITY__MASTER_KEYS,",
        "or the files pepper and master_keys in that folder), start",
        f"  smm-gateway serve --data-dir {data_dir}",
        "compare what waits with the upstreams (docs/backup.md), and then resume each provider:",
        "  smm-gateway provider resume NAME",
    ]
    return "\n".join(lines)
