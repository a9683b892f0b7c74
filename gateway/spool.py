"""The spool: what the database could not be told, kept on disk until it knows.

Each process appends to a file of its own, locked for as long as it lives; a process that starts
takes over what ended ones have left. Every line is on disk before ``add`` returns. In it are ids
and what upstreams answered, never keys or what was ordered. Losing it loses no money: what it
would settle waits for its client, its lease or a person. What a defect keeps from being told goes
into the quarantine.
"""

import asyncio
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from gateway.metrics import SPOOL_BYTES, SPOOL_ENTRIES
from gateway.quarantine import keep, quarantine_of

log = structlog.get_logger()

Record: TypeAlias = Mapping[str, Any]

_SUFFIX = ".jsonl"
_NAME = "folder-name"
#: More than this is not a spool but an archive.
_MOST_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is not settled: what kind of thing it is, since when, and the rest of it."""

    number: int
    kind: str
    at: datetime
    record: Record


class Spool:
    """Entries of this process and of those that ended; ``folder`` is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.quarantine = quarantine_of(folder)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._file: int | None = None
        self._entries: dict[int, Entry] = {}
        self._held: set[int] = set()
        self._adopted: set[Path] = set()  # and left where they were: the disk was full
        self._next = 0
        self._turn = asyncio.Lock()

    def name(self) -> str:
        """The name of the folder, whichever host and path it is found by; '' where there is none.

        It lies in the folder itself, so that whoever has the folder next is known to have it.
        """
        path = self._folder / _NAME
        with suppress(OSError):
            if not path.exists():
                draft = path.with_suffix(f".{secrets.token_hex(4)}")
                draft.write_text(secrets.token_hex(16), encoding="ascii")
                with suppress(FileExistsError):  # another process was first
                    os.link(draft, path)
                draft.unlink()
            return path.read_text(encoding="ascii")
        return ""

    def entries(self, kind: str) -> list[Entry]:
        """What nobody in this process is about to settle, oldest first."""
        entries = self._entries.values()
        return [e for e in entries if e.kind == kind and e.number not in self._held]

    @property
    def size(self) -> int:
        """How many entries the database does not know yet."""
        return len(self._entries)

    async def add(self, kind: str, record: Record) -> Entry:
        """Keep a record, which is the caller's until it settles or releases it.

        A disk that cannot take it is an alarm, and the record stays in memory.
        """
        entry = self._numbered(Entry(0, kind, datetime.now(UTC), record))
        self._held.add(entry.number)
        async with self._turn:
            await self._keep(entry)
        return entry

    def release(self, entry: Entry) -> None:
        """Leave an entry to whoever goes through the spool."""
        self._held.discard(entry.number)

    async def settle(self, entry: Entry) -> None:
        """The entry has become true or pointless: forget it."""
        self._held.discard(entry.number)
        if self._entries.pop(entry.number, None) is None:
            return
        async with self._turn:
            # A file without an open entry says nothing any more: it begins anew.
            line = {"settled": entry.number} if self._entries else None
            await asyncio.to_thread(self._try_append, line)
        self._measure()

    async def set_aside(self, entry: Entry, reason: str) -> None:
        """The entry cannot be told, however often it is tried: keep it for a person.

        On a disk that does not take it, it stays where it is, for the next process.
        """
        kept = (self.quarantine, entry.kind, entry.at, reason, entry.record)
        try:
            path = await asyncio.to_thread(keep, *kept)
        except OSError as error:
            self._held.add(entry.number)
            log.error("spool.failed", folder=str(self.quarantine), reason=error.strerror)
            return
        log.error(
            "spool.quarantined",
            kind=entry.kind,
            path=str(path),
            reason=reason,
            hint="`smm-gateway audit` names it; the next start tries it again",
        )
        await self.settle(entry)

    async def adopt(self) -> int:
        """Take over what processes that have ended left behind; how many entries that are."""
        async with self._turn:
            found = await asyncio.to_thread(self._left_behind)
            number = 0
            for path, entries in found:
                kept = [await self._keep(self._numbered(entry)) for entry in entries]
                if all(kept):
                    path.unlink(missing_ok=True)
                else:
                    self._adopted.add(path)
                number += len(entries)
        if number:
            log.warning("spool.adopted", entries=number)
        return number

    async def close(self) -> None:
        """Let go of the file; what is open in it is for the next process."""
        async with self._turn:
            if self._file is None:
                return
            if not self._entries:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def _numbered(self, entry: Entry) -> Entry:
        self._next += 1
        return replace(entry, number=self._next)

    async def _keep(self, entry: Entry) -> bool:
        if len(self._entries) >= _MOST_ENTRIES:
            log.error("spool.full", kind=entry.kind, record=dict(entry.record))
            return False
        self._entries[entry.number] = entry
        line = {"number": entry.number, "kind": entry.kind, "at": entry.at.isoformat()}
        self._measure()
        return await asyncio.to_thread(self._try_append, {**line, "record": dict(entry.record)})

    def _measure(self) -> None:
        kinds = [entry.kind for entry in self._entries.values()]
        for kind in {*kinds, *_KINDS}:
            SPOOL_ENTRIES.labels(kind).set(kinds.count(kind))

    def _try_append(self, line: Record | None) -> bool:
        try:
            SPOOL_BYTES.set(self._append(line))
            return True
        except OSError as error:
            log.error(
                "spool.failed",
                folder=str(self._folder),
                reason=error.strerror,
                record=line,
                hint="make the folder writable; what is in doubt is known to this process alone",
            )
            return False

    def _append(self, line: Record | None) -> int:
        """Write a line and wait until the disk has it; without one, empty the file."""
        if self._file is None:
            if line is None:
                return 0
            self._file = self._create()
        size = os.fstat(self._file).st_size
        if line is None:
            os.ftruncate(self._file, 0)
        else:
            text = (json.dumps(line, separators=(",", ":")) + "\n").encode()
            if os.write(self._file, text) != len(text):
                # Half a line would spoil the next one.
                os.ftruncate(self._file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file)
        return os.fstat(self._file).st_size

    def _create(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        unlocked = self._path.with_suffix(".new")
        file = os.open(unlocked, flags, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now: whoever finds an unlocked file under its name takes it for left behind.
        unlocked.rename(self._path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def _left_behind(self) -> list[tuple[Path, list[Entry]]]:
        """The files that nobody holds, and what is open in them."""
        found = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path == self._path or path in self._adopted:
                continue
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append((path, _open_entries(path, file.read())))
            except BlockingIOError:
                continue
            except OSError as error:
                log.error("spool.unreadable", path=str(path), reason=error.strerror)
        return found


#: An answer of an upstream that could not be recorded; orders whose COMMIT got no answer.
OUTCOME, DOUBT = "outcome", "doubt"
_KINDS = (OUTCOME, DOUBT)


def _open_entries(path: Path, text: bytes) -> list[Entry]:
    """The entries of a file that were not settled. A last line may be torn: it was never kept."""
    entries: dict[int, Entry] = {}
    lines = text.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            read = json.loads(line)
            if "settled" in read:
                entries.pop(read["settled"], None)
            else:
                at = datetime.fromisoformat(read["at"])
                entry = Entry(read["number"], read["kind"], at, read["record"])
                entries[entry.number] = entry
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                log.error("spool.bad_line", path=str(path), line=number)
    return list(entries.values())
