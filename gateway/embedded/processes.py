"""What the operating system says about processes that are not our children."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLL_SECONDS = 0.02


def start_mark(pid: int) -> str | None:
    """Tell when `pid` started, to know it again: None when it is dead or a zombie.

    A number alone proves nothing, since the system hands the numbers of dead processes out again.
    """
    if sys.platform != "linux":
        return _ps("lstart=", pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name, in parentheses, may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started


def exists(pid: int) -> bool:
    """Whether the number is taken, be it by a zombie or another user's process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_line(pid: int) -> str:
    """The command that `pid` was started with; empty when it is dead or a zombie."""
    if sys.platform != "linux":
        return _ps("command=", pid) or ""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int, argument: str) -> bool:
    """Whether `pid` is alive and was started with `argument`."""
    return start_mark(pid) is not None and argument in command_line(pid)


async def stop_leftover(
    pid: int, argument: str, signals: Sequence[tuple[signal.Signals, float]]
) -> None:
    """End a process that a dead supervisor left behind; each signal gets its seconds to work."""
    for number, patience in signals:
        if not is_running(pid, argument):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while is_running(pid, argument) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)


def _ps(column: str, pid: int) -> str | None:
    command = ["ps", "-o", column, "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
