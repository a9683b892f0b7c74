"""What a sandbox panel is started with, and the key it keeps."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from schemas.money import UNIT, Micros


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """One sandbox panel.

    ``data_dir`` holds its logs and its key and is made when missing. ``port`` 0 takes a free one.
    ``seconds`` is how long an order takes from acceptance to its end, None stops all progress.
    ``balance`` is what the account holds when the directory is first used. ``api_key`` None means
    the key kept in ``data_dir``. The latencies, in milliseconds, lie around the acceptance of
    each ``add``.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    seconds: float | None = 120.0
    balance: Micros = 1_000 * UNIT
    api_key: str | None = None
    latency_before_ms: int = 0
    latency_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class SandboxAddress:
    """Where a running sandbox answers: the address of its panel API, and the key to use there."""

    url: str
    key: str


def kept_key(data_dir: Path) -> str:
    """The key in ``data_dir``, made on first use and readable by its owner only.

    Raises:
        OSError: when the file can neither be made nor read.
    """
    path = data_dir / "api_key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        key = secrets.token_hex(20)
        file.write(key + "\n")
    return key
