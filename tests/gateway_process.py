"""A gateway in a child process, as users start it, for suites that kill it or need several."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import aiohttp

from gateway.embedded.ports import free_port
from tests.world import SECURITY

_ROOT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1
_ASK_SECONDS = aiohttp.ClientTimeout(total=5)

#: Impatient and generous enough for tests; ``settings`` of a process win over these.
_SETTINGS: dict[str, dict[str, object]] = {
    "http": {"drain_ms": 1_000},
    "dispatch": {"idle_ms": 20, "retry_first_ms": 50, "hold_ms": 50},
    "tracking": {"first_ms": 20, "last_ms": 1000, "idle_ms": 20},
    # A test drives one key from one address as hard as it can.
    "limits": {"requests_per_second": 100_000, "burst": 1_000_000, "wrong_keys_per_minute": 10_000},
}


def _die_with_parent() -> None:
    """Runs in the child: a killed test run leaves no gateway behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class GatewayProcess:
    """``smm-gateway serve`` as a child; the same addresses over every restart.

    ``role`` and ``workers`` are the flags of these names. Settings are given by section, like
    ``{"dispatch": {"timeout_ms": 500}}``, and reach the child through its environment; ``settings``
    may be changed between starts. Everything that the child prints is appended to ``log``.
    ``async with`` starts and stops it.
    """

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        log: Path,
        *,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        start_seconds: float = 30,
        role: str = "all",
        workers: int | None = None,
    ) -> None:
        self.role = role
        self.workers = workers
        self.log = log
        self.data_dir = log.with_suffix(".data")
        self.settings = {name: dict(values) for name, values in (settings or {}).items()}
        self.port = free_port()
        self.internal_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/v2"
        self.internal_url = f"http://127.0.0.1:{self.internal_port}"
        self._own: dict[str, dict[str, object]] = {
            "database": {"url": database_url},
            "redis": {"url": redis_url},
            "security": dict(SECURITY),
            "internal": {"port": self.internal_port},
            "log": {"format": "json"},
        }
        self._start_seconds = start_seconds
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The child's process id.

        Raises:
            RuntimeError: when none runs.
        """
        if self._process is None:
            raise RuntimeError("the gateway does not run")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child runs: False before a start, and once it was seen to end."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the child and return once it is ready, which is when its API answers.

        Raises:
            RuntimeError: with the end of its log, when it ends or does not answer in time.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", *self._flags()),
                cwd=_ROOT,
                env=self._environment(),
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + self._start_seconds
        async with aiohttp.ClientSession() as session:
            while not await _answers(session, f"{self.internal_url}/readyz"):
                if not self.alive or time.monotonic() > deadline:
                    await self.kill()
                    raise RuntimeError(f"the gateway did not start:\n{self.log_text()[-2000:]}")
                await asyncio.sleep(0.01)

    async def kill(self) -> int:
        """``kill -9``, whatever it is doing; its exit code, 0 where none ran."""
        return await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask the child to stop (SIGTERM) and wait for its end; its exit code, 0 where none ran."""
        return await self._end(signal.SIGTERM)

    async def restart(self) -> None:
        """Kill the child if it lives, and start one on the same addresses."""
        await self.kill()
        await self.start()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, for example to freeze the child.

        Raises:
            RuntimeError: when none runs.
        """
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError("the gateway does not run")
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until the child ends, by itself or because it was killed; its exit code."""
        if self._process is None:
            raise RuntimeError("the gateway does not run")
        code = await self._process.wait()
        self._process = None
        return code

    def log_text(self) -> str:
        """All that the child has printed since its first start."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def _flags(self) -> list[str]:
        workers = [] if self.workers is None else ["--workers", str(self.workers)]
        return ["--port", str(self.port), "--role", self.role, *workers]

    def _environment(self) -> dict[str, str]:
        """This process's environment with the child's settings instead of any of ours."""
        found = {name: value for name, value in os.environ.items() if not name.startswith("SMM_")}
        found["SMM_DATA_DIR"] = str(self.data_dir)
        for sections in (_SETTINGS, self._own, self.settings):
            for section, values in sections.items():
                for name, value in values.items():
                    found[f"SMM_{section}__{name}".upper()] = str(value)
        return found

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self.wait()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=_ASK_SECONDS) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False
