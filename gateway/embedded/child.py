"""An engine's process: started so that it cannot outlive us, stopped in ever firmer steps."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from gateway.embedded.place import Place
from gateway.embedded.processes import POLL_SECONDS

LAUNCHER = Path(__file__).with_name("launch.py")
# Nothing of our own environment: PGPORT, PGDATA and the like would change what the engines do.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
KILL_PATIENCE_SECONDS = 5.0


class Child:
    """A running child process and the log it writes."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, log_start: int) -> None:
        self._process = process
        self._log_start = log_start
        self.log = log

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        place: Place,
        log: Path,
        death_signal: signal.Signals,
        stdin: str = "",
    ) -> Self:
        """Start `command` as the engine user, in a session of its own.

        On Linux it gets `death_signal` when we die, by whatever cause. The kernel ties that to the
        starting *thread*, so only the main thread may call this (else RuntimeError). The session
        keeps a terminal's Ctrl-C from reaching the engine before the gateway has let go of it.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("engines must be started from the main thread: they die with it")
        order = {
            "parent": os.getpid(),
            "death_signal": int(death_signal),
            "user": (place.user.uid, place.user.gid) if place.user else None,
            "home": str(place.home),
            "log": str(log),
            "command": list(command),
        }
        log_start = log.stat().st_size if log.exists() else 0
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(stdin.encode())
        return cls(process, log, log_start)

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the child runs."""
        return self._process.poll()

    async def wait(self, seconds: float) -> int | None:
        """Wait for the end of the child, at most `seconds`; give what `exit_code` says then."""
        deadline = time.monotonic() + seconds
        while (code := self.exit_code()) is None and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        return code

    async def stop(self, signals: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send the signals in turn, each with its seconds to work, and SIGKILL if none does."""
        for number, patience in (*signals, (signal.SIGKILL, KILL_PATIENCE_SECONDS)):
            self._process.send_signal(number)
            if await self.wait(patience) is not None:
                return

    def output(self) -> list[str]:
        """The lines that this child wrote to its log so far."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            # The launcher may have begun a new log.
            log.seek(self._log_start if self.log.stat().st_size >= self._log_start else 0)
            return log.read().decode(errors="replace").splitlines()

    def wrote_any(self, texts: Iterable[str]) -> bool:
        """Whether one of the texts is in what this child wrote."""
        output = "\n".join(self.output())
        return any(text in output for text in texts)

    def last_words(self) -> str:
        """How the child ended, and the log line that best tells why."""
        code = self.exit_code()
        if code is not None and code < 0:
            return f"killed by signal {-code} (log: {self.log})"
        lines = self.output()
        telling = [line for line in lines if re.search("FATAL|PANIC|error:", line)] or lines
        reason = telling[-1].strip() if telling else "no output"
        return f"{reason} (exit code {code}, log: {self.log})"
