"""What the supervisor keeps in the data directory: the claim, the secrets, the addresses."""

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from gateway.embedded.errors import EmbeddedError, EnginesBusy, EnginesNotRunning
from gateway.embedded.files import write_private
from gateway.embedded.place import Place
from gateway.embedded.processes import start_mark

CLAIM = "supervisor.lock"
SECRETS = "secrets.json"
ADDRESSES = "addresses.json"
ARCHIVE = "archive-name"
SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the engines listen. The URLs contain passwords, so no repr shows them."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The engines' passwords, made once per data directory."""

    superuser: str = field(repr=False)
    database: str = field(repr=False)
    redis: str = field(repr=False)


class Claim:
    """The right to run the engines of a data directory; one process at a time holds it.

    A file lock, because the kernel drops it with its holder, however that ends.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, data_dir: Path) -> Self:
        """Raises EnginesBusy, naming the holder, when another process has the claim."""
        descriptor = os.open(data_dir / CLAIM, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode() or "unknown"
            os.close(descriptor)
            raise EnginesBusy(
                f"the engines of {data_dir} are already run by process {holder}: stop that one "
                "or choose another data directory"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)


def load_secrets(place: Place) -> Secrets:
    """The passwords of the engines at `place`, made at the first use.

    Raises EmbeddedError when there is data but its passwords are lost.
    """
    path = place.data_dir / SECRETS
    try:
        return Secrets(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise EmbeddedError(f"{path} is damaged: restore it from a backup") from error
    except FileNotFoundError:
        pass
    if place.pgdata.exists():
        raise EmbeddedError(
            f"{path} with the passwords of the data in {place.home} is gone: restore it from a "
            "backup, or move the folder away to start empty"
        )
    made = make_secrets()
    save_secrets(place, made)
    return made


def make_secrets() -> Secrets:
    """New passwords, which no engine has yet."""
    return Secrets(*(secrets.token_urlsafe(32) for _ in range(3)))


def save_secrets(place: Place, made: Secrets) -> None:
    """Keep the passwords of the data at ``place``."""
    write_private(place.data_dir / SECRETS, json.dumps(asdict(made)))


def record_addresses(data_dir: Path, addresses: Addresses) -> None:
    """Tell other processes of this user where the engines listen, for as long as we live."""
    pid = os.getpid()
    record = {"pid": pid, "started": start_mark(pid), **asdict(addresses)}
    write_private(data_dir / ADDRESSES, json.dumps(record))


def forget_addresses(data_dir: Path) -> None:
    (data_dir / ADDRESSES).unlink(missing_ok=True)


def running_addresses(data_dir: Path) -> Addresses:
    """The addresses of engines that another process runs on this data directory.

    Raises EnginesNotRunning when there are none, EmbeddedError when they are another user's.
    """
    path = data_dir / ADDRESSES
    try:
        record = json.loads(path.read_text())
    except PermissionError as error:
        raise EmbeddedError(
            f"{path} belongs to another user: run as the user that runs the engines"
        ) from error
    except (FileNotFoundError, NotADirectoryError):
        record = None
    # The record of a supervisor that was killed stays behind, and its pid may be reused.
    if record is None or start_mark(record["pid"]) != record["started"]:
        raise EnginesNotRunning(
            f"no engines are running on {data_dir}: start them first (`make demo`), or name "
            "your own servers in the settings"
        )
    return Addresses(record["database_url"], record["redis_url"])


def superuser_url(data_dir: Path) -> str:
    """The URL of the superuser of running engines, for the tools that copy a whole server.

    Raises EnginesNotRunning when there are none, EmbeddedError when they are another user's.
    """
    address = urlsplit(running_addresses(data_dir).database_url)
    password = json.loads((data_dir / SECRETS).read_text())["superuser"]
    place = f"{SUPERUSER}:{password}@{address.hostname}:{address.port}"
    return address._replace(netloc=place).geturl()
