"""Valkey servers of a test's own, from the bundled program, to be killed, frozen and filled."""

import asyncio
import ctypes
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.embedded.binaries import find_binaries
from gateway.embedded.ports import free_port
from tests.conftest import eventually

_HOST = "127.0.0.1"
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child: a killed test run leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ValkeyProcess:
    """One server that keeps nothing on disk; the same port over every restart.

    ``options`` are settings as on its command line. ``async with`` starts and ends it.
    """

    def __init__(self, folder: Path, *options: str, sentinel: bool = False) -> None:
        self._folder = folder
        self._options = options
        self._sentinel = sentinel
        self._process: Process | None = None
        self.port = free_port()
        self.url = f"redis://{_HOST}:{self.port}/0"
        self.client: Redis = Redis(
            host=_HOST, port=self.port, decode_responses=True, socket_timeout=5
        )

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.aclose()
        await self.kill()

    async def start(self) -> None:
        """Start it and return once it answers."""
        arguments = ["--bind", _HOST, "--port", str(self.port), "--dir", str(self._folder)]
        if self._sentinel:
            # A Sentinel writes to its settings what it finds out.
            file = self._folder / "sentinel.conf"
            file.write_text("\n".join(self._options))
            arguments = [str(file), "--sentinel", *arguments]
        else:
            arguments += ["--save", "", "--appendonly", "no", *self._options]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(find_binaries().valkey),
                *arguments,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        await eventually(self._answers)

    async def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "valkey.log").read_text()[-2000:]
        try:
            return bool(await self.client.ping())
        except (RedisError, OSError):
            await asyncio.sleep(0.02)
            return False
