"""Processor time of other processes, from Linux' /proc; zero where that is missing."""

import os
from collections.abc import Iterable
from pathlib import Path


def seconds_used(pids: Iterable[int]) -> float:
    """What these processes have used so far, user and system, together."""
    return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    # The name, in parentheses, may hold blanks; utime and stime are the 14th and 15th field.
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
