"""Processor time and memory of other processes, from Linux' /proc; zero where that is missing."""

import os
from collections.abc import Iterable
from pathlib import Path


def seconds_used(pids: Iterable[int]) -> float:
    """What these processes have used so far, user and system, together."""
    return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def with_children(pid: int) -> list[int]:
    """A process and all that it has started, and they in turn."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, _text(children).split())
    return found


def resident_bytes(pid: int) -> int:
    """The memory that a process has now, shared pages included."""
    fields = _text(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _ticks(pid: int) -> int:
    # The name, in parentheses, may hold blanks; utime and stime are the 14th and 15th field.
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
