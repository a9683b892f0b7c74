"""The archive of all that PostgreSQL writes (its WAL), for going back to any moment.

Each data directory has a folder of its own below the archive, because copies of one database go on
differently from the same file names. The server runs these commands itself, as the engine user.
"""

import os
import secrets
import shlex
import shutil
from pathlib import Path

from gateway.embedded.errors import EmbeddedError
from gateway.embedded.files import write_private
from gateway.embedded.place import Place
from gateway.embedded.state import ARCHIVE

_PATH = "/usr/bin:/bin"


def open_archive(place: Place, archive_dir: Path) -> Path:
    """The folder of this data in the archive, made when it is missing.

    Raises EmbeddedError when the engine user cannot write there.
    """
    if not all(shutil.which(program, path=_PATH) for program in ("gzip", "cmp", "sync")):
        raise EmbeddedError("backup.archive_dir needs gzip, cmp and sync in /usr/bin or /bin")
    folder = archive_folder(place.data_dir, archive_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.user:
            os.chown(folder, place.user.uid, place.user.gid)
    except OSError as error:
        raise EmbeddedError(
            f"backup.archive_dir: cannot make {folder} ({error.strerror}): choose another folder"
        ) from error
    if place.user and not all(path.stat().st_mode & 0o001 for path in folder.parents):
        raise EmbeddedError(
            f"backup.archive_dir: the engines run as another user, who cannot enter {archive_dir}: "
            "choose a folder that anybody may enter, like one below /var/backups"
        )
    return folder


def archive_folder(data_dir: Path, archive_dir: Path) -> Path:
    """The folder of this data in an archive; its name is chosen once."""
    file = data_dir / ARCHIVE
    if not file.exists():
        write_private(file, f"{secrets.token_hex(8)}\n")
    return archive_dir.absolute() / file.read_text().strip()


def archive_command(folder: Path) -> dict[str, str]:
    """The server's settings that keep its WAL in ``folder``, a minute after it was written at most.

    A file that is there is never written again: it is either the same or the command fails, and
    the server keeps the file and says so. Half-written files have another name.
    """
    kept = f"{_quoted(folder)}/%f"
    compare = f"gzip -dc {kept}.gz | cmp -s - %p"
    keep = (
        f"gzip -c %p > {kept}.tmp && sync {kept}.tmp && mv {kept}.tmp {kept}.gz && sync {kept}.gz"
    )
    return {
        "archive_mode": "on",
        "archive_command": f"if test -f {kept}.gz; then {compare}; else {keep}; fi",
        "archive_timeout": "60s",
    }


def restore_command(folder: Path) -> str:
    """What fetches a file from the archive, which ends where one is missing; damage is an error."""
    kept = f"{_quoted(folder)}/%f.gz"
    # Above 125 the server gives up instead of taking it for the end of the archive.
    return f"test -f {kept} || exit 1; gzip -dc {kept} > %p || exit 255"


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder)).replace("%", "%%")
