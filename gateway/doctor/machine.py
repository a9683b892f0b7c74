"""What this machine gives: room and rights in the folders, and who may read the secrets."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gateway.doctor.line import Line, fail, ok, warn

_GIGABYTE = 10**9
#: With less room the gateway should not start; with less than the other, plan for more.
_LEAST, _FEW = 1 * _GIGABYTE, 5 * _GIGABYTE
_OTHERS = 0o077


def of_folders(folders: Iterable[tuple[str, Path]]) -> Iterable[Line]:
    """Whether each folder (what it is for, and where) can be written, and has room."""
    for purpose, folder in folders:
        there = _existing(folder)
        try:
            with tempfile.NamedTemporaryFile(dir=there) as file:
                file.write(b"x" * 4096)
                file.flush()
            free = shutil.disk_usage(there).free
        except OSError as error:
            yield fail(
                "disk",
                f"{folder} ({purpose}) cannot be written: {error.strerror}",
                "make it a folder that the gateway's user owns, on a disk with room",
            )
        else:
            yield judge_room(f"{folder} ({purpose})", free)


def _existing(folder: Path) -> Path:
    """The folder, or the one that it would be made in."""
    return folder if folder.exists() or folder.parent == folder else _existing(folder.parent)


def judge_room(where: str, free: int) -> Line:
    """Whether so many bytes are enough."""
    words = f"{where} has {free / _GIGABYTE:.1f} GB left"
    if free < _LEAST:
        return fail("disk", words, "make room, or choose a larger disk")
    if free < _FEW:
        return warn("disk", words, "plan for more: backups and write-ahead logs need room")
    return ok("disk", words)


def of_files(
    private: Iterable[Path], config: Path | None, secrets: Iterable[str]
) -> Iterable[Line]:
    """Whether only their owner reads the files that hold secrets.

    ``config`` counts when one of the ``secrets`` in use stands in it.
    """
    holding = [path for path in private if path.is_file()]
    if config is not None:
        text = config.read_text(encoding="utf-8")
        if any(secret in text for secret in secrets):
            holding.append(config)
    open_to_others = [path for path in holding if path.stat().st_mode & _OTHERS]
    for path in open_to_others:
        yield fail("file rights", f"others may read the secrets in {path}", f"chmod 600 {path}")
    if not open_to_others:
        yield ok("file rights", f"only their owner reads the {len(holding)} files with secrets")
