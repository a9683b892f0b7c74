"""A sandbox panel in a child process, for suites that want an upstream they can kill."""

import asyncio
import ctypes
import json
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from typing import Any, Self

import aiohttp

from providers.sandbox.journal import read_records
from providers.sandbox.server import ACCEPTED, RECEIVED

_ROOT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child: a killed test run leaves no panel behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class SandboxProcess:
    """A sandbox panel as a child; the same address, key and orders over every restart.

    Orders rest until ``control("advance", …)`` or ``control("speed", …)`` moves them, unless
    ``seconds`` says how long one takes. ``async with`` starts and stops it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        seconds: float = 0,
        balance: str = "1000000",
        start_seconds: float = 30,
    ) -> None:
        self.data_dir = data_dir
        self.url = ""
        self.key = ""
        self._port = 0
        self._options = ("--seconds", str(seconds), "--balance", balance)
        self._start_seconds = start_seconds
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the child and return once it answers. Raises ``RuntimeError`` when it does not."""
        ready = self.data_dir / "ready.json"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "providers.sandbox", "--data-dir", str(self.data_dir)]
        command += ["--port", str(self._port), "--ready-file", str(ready), *self._options]
        self._process = await asyncio.create_subprocess_exec(
            *command, cwd=_ROOT, stdin=DEVNULL, stdout=DEVNULL, preexec_fn=_die_with_parent
        )
        deadline = time.monotonic() + self._start_seconds
        while not ready.exists():
            if self._process.returncode is not None or time.monotonic() > deadline:
                await self.kill()
                raise RuntimeError("the sandbox did not start")
            await asyncio.sleep(0.01)
        address = json.loads(ready.read_text())
        self.url, self.key = address["url"], address["key"]
        self._port = int(self.url.split(":")[2].split("/")[0])

    async def kill(self) -> None:
        """``kill -9``: nothing is finished, nothing is said goodbye to."""
        await self._end(signal.SIGKILL)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the child to stop and wait for its end; its exit code, 0 where none ran."""
        return await self._end(number)

    async def restart(self) -> None:
        """Kill the child if it lives, and start one on the same address and directory."""
        await self.kill()
        await self.start()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, for example to freeze the child."""
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError("the sandbox does not run")
        self._process.send_signal(number)

    async def call(self, action: str, **parameters: object) -> Any:
        """One panel API call, answered with JSON."""
        form = {"key": self.key, "action": action} | {k: str(v) for k, v in parameters.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=form) as answer,
        ):
            return json.loads(await answer.read())

    async def control(self, path: str, command: Any = None, *, method: str = "") -> Any:
        """Give a command: POST when it carries one, else GET. ``path`` follows ``/control/``.

        Raises:
            RuntimeError: when the sandbox refuses it.
        """
        method = method or ("GET" if command is None else "POST")
        address = self.url.removesuffix("/api/v2") + "/control/" + path
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, address, json=command) as answer,
        ):
            if answer.status != 200:
                raise RuntimeError(await answer.text())
            return await answer.json()

    def accepted(self) -> list[dict[str, Any]]:
        """The orders that the panel accepted, from its log on disk, oldest first."""
        return read_records(self.data_dir / ACCEPTED)

    def received(self) -> list[dict[str, Any]]:
        """Every ``add`` that the panel read, accepted or not, oldest first."""
        return read_records(self.data_dir / RECEIVED)

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(number)
        code = await self._process.wait()
        self._process = None
        return code
