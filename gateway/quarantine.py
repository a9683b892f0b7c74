"""The quarantine: what was spooled and cannot be told to the database, because of a defect.

One file each in a folder beside the spool. An answer of an upstream may be the only proof that it
took an order, so nothing here is ever deleted but what has become true after all, or by a person.
"""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One spooled record, why it could not be told, and the file that it is kept in."""

    path: Path
    kind: str
    at: datetime
    reason: str
    record: Mapping[str, Any]

    def __str__(self) -> str:
        """One line for a person: what it is about, and where it is."""
        names = ("order_id", "number", "outcome", "upstream_id")
        told = [f"{name} {self.record[name]}" for name in names if self.record.get(name)]
        about = ", ".join(told) or f"{len(self.record.get('orders', ()))} orders"
        return f"{self.path}: {self.kind} of {self.at:%Y-%m-%d %H:%M:%S}, {about} ({self.reason})"


def quarantine_of(spool: Path) -> Path:
    """Where the quarantine of a folder with spools is."""
    return spool / "quarantine"


def keep(folder: Path, kind: str, at: datetime, reason: str, record: Mapping[str, Any]) -> Path:
    """Write a record down; it is on disk when this returns.

    Raises:
        OSError: when the disk does not take it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{kind}-{at:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}{_SUFFIX}"
    told = {"kind": kind, "at": at.isoformat(), "reason": reason, "record": dict(record)}
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
    return path


def list_quarantined(folder: Path) -> list[Quarantined]:
    """What is kept, oldest first by kind. A file that cannot be read is told in its place."""
    return [_read(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]


def count_quarantined(folder: Path) -> int:
    """How many files are kept."""
    return sum(1 for _ in folder.glob(f"*{_SUFFIX}"))


def _read(path: Path) -> Quarantined:
    try:
        read = json.loads(path.read_bytes())
        at = datetime.fromisoformat(read["at"])
        return Quarantined(path, read["kind"], at, read["reason"], dict(read["record"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("quarantine.unreadable", path=str(path), reason=type(error).__name__)
        reason = f"the file cannot be read: {type(error).__name__}"
        return Quarantined(path, "unreadable", datetime.now().astimezone(), reason, {})
