"""A backup as it lies on disk, and whether it is whole.

    smm-backup-20260102T030405Z/
        backup.json     what it is, written last: without it there is no backup
        data/           the server's files, and in data/backup_manifest the checksum of each

The server's manifest does not cover the WAL that belongs to the backup, so ``backup.json`` does.
PostgreSQL's own ``pg_verifybackup`` is not used: the bundled one of version 18 does not run.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.embedded.files import write_private
from gateway.errors import UserError

PREFIX = "smm-backup-"
PARTIAL = ".partial"
RECORD = "backup.json"
DATA = "data"
#: Of the last whole backup, in the data directory, for whoever watches its age.
LAST_BACKUP = "last-backup.json"
_MANIFEST = "backup_manifest"
_FORMAT = 1
#: Written by the server's programs after the manifest, or replaced by a restore.
_NOT_LISTED = frozenset({_MANIFEST, "postgresql.auto.conf"})


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """What ``backup.json`` says. Times are the server's, in ISO 8601.

    A restore to a moment starts at ``finished_at`` or later. ``archive`` is the folder with the WAL
    that came after, None where none is kept; ``files`` are checksums of the manifest and the WAL.
    """

    format: int
    postgres: int
    started_at: str
    finished_at: str
    bytes: int
    database: str
    owner: str
    archive: str | None
    files: dict[str, str]


def new_name(now: datetime) -> str:
    """The folder of a backup made at this moment."""
    return f"{PREFIX}{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def describe(draft: Path, **known: Any) -> BackupRecord:
    """Write what a finished copy in ``draft`` is; from now on it is a backup."""
    data = draft / DATA
    listed = [data / _MANIFEST, *(p for p in (data / "pg_wal").rglob("*") if p.is_file())]
    record = BackupRecord(
        format=_FORMAT,
        bytes=sum(path.stat().st_size for path in data.rglob("*") if path.is_file()),
        files={str(path.relative_to(data)): _sha256(path) for path in listed},
        **known,
    )
    write_private(draft / RECORD, json.dumps(asdict(record), indent=1) + "\n")
    return record


def read_record(backup: Path) -> BackupRecord:
    """What a backup is.

    Raises:
        UserError: when there is no whole backup, or one that this version cannot read.
    """
    try:
        found = json.loads((backup / RECORD).read_text(encoding="utf-8"))
        record = BackupRecord(**found)
    except FileNotFoundError:
        cut_off = " (its making was cut off)" if backup.name.endswith(PARTIAL) else ""
        raise UserError(f"{backup} is no backup{cut_off}: it has no {RECORD}") from None
    except OSError as error:
        raise UserError(f"{backup} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UserError(
            f"{backup / RECORD} is damaged or of another version of smm-gateway: use another one"
        ) from None
    if record.format != _FORMAT or backup.name.endswith(PARTIAL):
        raise UserError(f"{backup} is no backup of this version of smm-gateway, or not a whole one")
    return record


def damage(backup: Path, record: BackupRecord) -> list[str]:
    """Everything that is not as it was when the backup was made; empty for a sound one."""
    data = backup / DATA
    found = [text for name, sum_ in record.files.items() if (text := _compare(data, name, sum_))]
    if found:
        return found  # the manifest itself may be wrong
    manifest = json.loads((data / _MANIFEST).read_bytes())
    listed = {_path_of(file): file for file in manifest["Files"]}
    found += [
        text
        for name, file in listed.items()
        if name not in _NOT_LISTED and (text := _compare(data, name, file["Checksum"]))
    ]
    known = {*listed, *record.files, *_NOT_LISTED}
    return found + [f"{name}: does not belong there" for name in _names(data) if name not in known]


def _path_of(file: dict[str, str]) -> str:
    if "Path" in file:
        return file["Path"]
    return os.fsdecode(bytes.fromhex(file["Encoded-Path"]))


def _compare(data: Path, name: str, checksum: str) -> str | None:
    try:
        return None if _sha256(data / name) == checksum else f"{name}: the content has changed"
    except FileNotFoundError:
        return f"{name}: is missing"
    except OSError as error:
        return f"{name}: {error.strerror}"


def _names(data: Path) -> Iterator[str]:
    for folder, _, files in os.walk(data):
        for name in files:
            yield str(Path(folder, name).relative_to(data))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
