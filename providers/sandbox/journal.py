"""Append-only files of JSON lines: one that is on disk before anyone is told, one that is not."""

import asyncio
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]


class JournalInUse(Exception):
    """Another process writes this journal; two would give the same order ids."""


def read_records(path: Path) -> list[dict[str, Any]]:
    """Every complete line of a journal, oldest first; a torn last line is left out.

    Raises:
        ValueError: when a complete line is not JSON: the file is damaged, not merely torn.
    """
    if not path.exists():
        return []
    *lines, _torn = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines]


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _open_owned(path: Path) -> int:
    """Open for appending as the only writer, with the line that a crash tore cut off."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise JournalInUse(f"{path} is written by another process") from error
    content = path.read_bytes()
    # Torn bytes were never acknowledged; kept, they would spoil the next line.
    os.ftruncate(handle, content.rfind(b"\n") + 1)
    return handle


class DurableJournal:
    """Records that survive ``kill -9`` and a power cut once ``append`` has returned.

    Appends that arrive while the disk is busy share the next write and its fsync.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path``. Raises ``JournalInUse`` or ``OSError``."""
        self._handle = _open_owned(path)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def append(self, record: Record) -> None:
        """Return when ``record`` is on disk. Raises ``OSError`` when it may not be."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((_line(record), done))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._commit(group)
        finally:
            self._flusher = None

    async def _commit(self, group: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        try:
            await asyncio.to_thread(self._sync, b"".join(line for line, _ in group))
        except OSError as error:
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in group:
            if not done.done():
                done.set_result(None)

    def _sync(self, data: bytes) -> None:
        _write_all(self._handle, data)
        os.fdatasync(self._handle)

    async def close(self) -> None:
        """Write what waits, then close."""
        if self._flusher is not None:
            await self._flusher
        os.close(self._handle)


class FlushedJournal:
    """Records that survive the death of the process, though not of the machine."""

    def __init__(self, path: Path) -> None:
        """Open ``path``. Raises ``JournalInUse`` or ``OSError``."""
        self._handle = _open_owned(path)

    def write(self, record: Record) -> None:
        """Hand ``record`` to the operating system."""
        _write_all(self._handle, _line(record))

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
