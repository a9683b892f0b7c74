"""One worker process, as its supervisor sees it."""

import asyncio
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from typing import Self
from urllib.parse import urlsplit

import structlog

from gateway.supervision.link import Report

log = structlog.get_logger()

#: A worker reports every second; one that has been silent for so long hangs.
_SILENT_SECONDS = 5.0


class Worker:
    """A worker process. ``number`` is its place, which its successor takes over."""

    def __init__(self, number: int, process: Process, link: socket.socket) -> None:
        self.number = number
        self.started_at = time.monotonic()
        self._process = process
        self._report: Report | None = None
        self._reported_at = 0.0
        self._was_ready = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(link))

    @classmethod
    async def spawn(cls, number: int, flags: Sequence[str], public: socket.socket | None) -> Self:
        """Start ``smm-gateway`` with these flags; it inherits the public listening socket.

        It is in a session of its own, so that a terminal's Ctrl-C reaches it through us alone.

        Raises:
            OSError: when the system starts no program now.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        inherited = [theirs.fileno(), *([] if public is None else [public.fileno()])]
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", *flags),
                *("--as-worker", ",".join(map(str, (number, *inherited)))),
                stdin=DEVNULL,
                pass_fds=inherited,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(number, process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it was not seen to end."""
        return self._process.returncode is None

    @property
    def internal_address(self) -> str | None:
        """Host and port of its internal listener, once it has said so."""
        return urlsplit(self._report.internal_url).netloc if self._report else None

    @property
    def silent(self) -> bool:
        """Whether it has not reported for so long that it must hang, or has not begun to."""
        return time.monotonic() - self._reported_at >= _SILENT_SECONDS

    @property
    def ready(self) -> bool:
        """Whether it can do its work now."""
        return (
            self.alive and not self.silent and self._report is not None and not self._report.missing
        )

    async def wait(self) -> int:
        """Wait for its end; its exit code."""
        return await self._process.wait()

    async def wait_ready(self, seconds: float) -> bool:
        """Wait until it is ready for the first time; False when it ends before, or is too slow."""
        first = [
            asyncio.ensure_future(self._was_ready.wait()),
            asyncio.ensure_future(self._process.wait()),
        ]
        try:
            await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in first:
                waiting.cancel()
        return self._was_ready.is_set() and self.alive

    async def stop(self, patience: float) -> None:
        """Ask it to stop, and wait; kill it when that takes more than ``patience`` seconds."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience):
                await self._process.wait()
        except TimeoutError:
            log.error("worker.killed", worker=self.number, pid=self.pid, seconds=patience)
            self._process.kill()
            await self._process.wait()
        await asyncio.wait([self._listening])

    async def _listen(self, link: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=link)
        try:
            while line := await reader.readline():
                self._report = Report.read(line)
                self._reported_at = time.monotonic()
                if not self._report.missing:
                    self._was_ready.set()
        except OSError:
            log.warning("worker.link_lost", worker=self.number, pid=self.pid)
        finally:
            writer.close()
