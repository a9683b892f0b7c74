"""Where the engines' data lives and which system user runs them.

An ordinary user's engines live inside the data directory. PostgreSQL refuses to run as root, so
root's engines run as an unprivileged user, who as a rule cannot enter root's folders. Opening those
is not ours to do: the engines then live below /var/lib and the data directory names the place.
"""

import os
import pwd
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.errors import EmbeddedError
from gateway.embedded.files import write_private

SYSTEM_DIR = Path("/var/lib/smm-gateway")
ENGINE_USERS = ("postgres", "nobody")
LOCAL_HOME = "engines"
POINTER = "engines-home"


@dataclass(frozen=True, slots=True)
class EngineUser:
    """The system user that root starts the engines as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Place:
    """`home` belongs to the engines, `data_dir` to us; `user` is None when both users are one."""

    data_dir: Path
    home: Path
    user: EngineUser | None

    @property
    def pgdata(self) -> Path:
        return self.home / "pgdata"

    def make_home(self) -> None:
        """Make the home of a further place, as the engine user's."""
        self.home.mkdir(mode=0o700)
        if self.user:
            os.chown(self.home, self.user.uid, self.user.gid)


def prepare(data_dir: Path) -> Place:
    """Make the folders that do not exist yet; the rights of those that do are left as they are.

    Raises EmbeddedError when this user cannot keep data there.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(
            f"cannot make the data directory {data_dir} ({error.strerror}): choose another one"
        ) from error
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedError(
            f"the data directory {data_dir} belongs to another user: "
            "run as that user or choose another one"
        )
    return _prepare_as_root(data_dir) if os.geteuid() == 0 else _prepare_as_owner(data_dir)


def _prepare_as_owner(data_dir: Path) -> Place:
    if (data_dir / POINTER).exists():
        raise EmbeddedError(
            f"the engines of {data_dir} were set up by root: run as root or choose another "
            "data directory"
        )
    home = data_dir / LOCAL_HOME
    home.mkdir(mode=0o700, exist_ok=True)
    return Place(data_dir, home, None)


def _prepare_as_root(data_dir: Path) -> Place:
    if (data_dir / LOCAL_HOME).exists():
        raise EmbeddedError(
            f"the engines of {data_dir} were set up by an ordinary user: run as that user or "
            "choose another data directory"
        )
    pointer = data_dir / POINTER
    if not pointer.exists():
        return _make_home(data_dir, pointer)
    name = pointer.read_text().strip()
    if not re.fullmatch("[0-9a-f]{16}", name):
        raise EmbeddedError(f"{pointer} is damaged: restore it, or delete it to start empty")
    home = SYSTEM_DIR / name
    if not home.is_dir():
        raise EmbeddedError(
            f"{home}, which held the data of {data_dir}, is gone: restore it, or delete {pointer} "
            "to start empty"
        )
    # Whoever owns the home runs the engines, even if the choice below would differ by now.
    owner = home.stat()
    return Place(data_dir, home, EngineUser(owner.st_uid, owner.st_gid))


def _make_home(data_dir: Path, pointer: Path) -> Place:
    user = _choose_user()
    name = secrets.token_hex(8)
    home = make_system_dir() / name
    home.mkdir(mode=0o700)
    os.chown(home, user.uid, user.gid)
    write_private(pointer, f"{name}\n")
    return Place(data_dir, home, user)


def make_system_dir() -> Path:
    """The folder that any user may enter and only root may change; made if it is missing."""
    try:
        SYSTEM_DIR.mkdir()
        SYSTEM_DIR.chmod(0o755)
    except FileExistsError:
        pass
    except OSError as error:
        raise EmbeddedError(
            f"cannot make {SYSTEM_DIR} ({error.strerror}), which the bundled PostgreSQL needs when "
            "root starts it: run as an ordinary user or use a PostgreSQL server of your own"
        ) from error
    return SYSTEM_DIR


def _choose_user() -> EngineUser:
    for name in ENGINE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return EngineUser(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and this system has neither a user `postgres` nor "
        "`nobody`: run as an ordinary user"
    )
