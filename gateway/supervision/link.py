"""The line between a worker and its supervisor: reports go up, and its end means that one is gone.

It is a pair of connected sockets. The supervisor says nothing on it: it stops workers by SIGTERM.
"""

import asyncio
import json
import os
import socket
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Self

#: A worker whose supervisor was killed gets so long to write down the answers that are out.
ORPHAN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself: what it lacks (nothing is ready), and where its metrics are."""

    missing: list[str]
    internal_url: str

    def line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """As it was sent."""
        return cls(**json.loads(line))


class Link:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def report(self, report: Report) -> None:
        """Tell the supervisor, unless it does not listen just now."""
        with suppress(OSError):
            self._socket.send(report.line(), socket.MSG_DONTWAIT)

    async def wait_lost(self) -> None:
        """Return when the supervisor is gone. The process then ends within ``ORPHAN_SECONDS``,
        whatever it is doing: nobody would know of it any more.
        """
        loop = asyncio.get_running_loop()
        lost = asyncio.Event()

        def watch() -> None:
            # In a thread, which also runs while the event loop hangs.
            with suppress(OSError):
                self._socket.recv(1)
            deadline = threading.Timer(ORPHAN_SECONDS, os._exit, (1,))
            deadline.daemon = True
            deadline.start()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lost.set)

        threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
        await lost.wait()
