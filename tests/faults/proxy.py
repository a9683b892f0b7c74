"""A TCP proxy that misbehaves on purpose, between any two parts.

It delays, slices, holds, swallows, cuts and resets, on all its links or at one byte pattern: say,
when the answer to a COMMIT comes by. Nothing is random: what goes wrong, and when, is the caller's.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import Self, TypeAlias
from urllib.parse import urlsplit

#: How PostgreSQL's simple protocol has it: the client's ``commit``, and the server's answer to it.
COMMIT, COMMITTED = b"commit\0", b"COMMIT\0"

LONGEST_PATTERN = 256

_CHUNK = 65_536
_MOST_CHUNKS = 64
_SLICE_PAUSE = 0.001


class Toward(Enum):
    """A direction, by where its bytes go."""

    SERVER = "server"
    CLIENT = "client"


class Flow(Enum):
    """What becomes of the bytes of one direction."""

    PASS = "pass"
    HOLD = "hold"  # they stay until they are released
    SWALLOW = "swallow"  # they are lost; both sides believe that the connection stands


class Trap:
    """Waits for a byte pattern; ``sprung`` counts how often it came by, ``links`` where."""

    def __init__(
        self,
        pattern: bytes,
        toward: Toward,
        then: "Act",
        *,
        passes: bool,
        after: bytes | None,
        times: int,
    ) -> None:
        self.pattern = pattern
        self.toward = toward
        self.then = then
        self.passes = passes
        self.after = after
        self.times = times
        self.links: list[Link] = []
        self._sprung = asyncio.Event()

    @property
    def sprung(self) -> int:
        """How often the pattern came by."""
        return len(self.links)

    async def wait(self, seconds: float = 20) -> None:
        """Return once the pattern came by for the first time.

        Raises:
            TimeoutError: when it does not come.
        """
        async with asyncio.timeout(seconds):
            await self._sprung.wait()

    def disarm(self) -> None:
        """Let the pattern pass from now on."""
        self.times = 0

    def _spring(self, link: "Link") -> None:
        self.times -= 1
        self.links.append(link)
        self._sprung.set()
        self.then(link)


class Link:
    """One connection of a client, with its connection to the server."""

    def __init__(self, proxy: "ChaosProxy", client: asyncio.StreamWriter) -> None:
        self.flows = dict.fromkeys(Toward, Flow.PASS)
        self.has_lost = False
        self.ended = False
        self._proxy = proxy
        self._released = asyncio.Event()
        self._writers = {Toward.CLIENT: client}
        self._tails = dict.fromkeys(Toward, b"")
        self._armed: set[Trap] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def hold(self, *towards: Toward) -> None:
        """Keep the bytes of these directions, of both where none is named, until ``release``."""
        self._set(Flow.HOLD, towards)

    def swallow(self, *towards: Toward) -> None:
        """Lose the bytes of these directions, of both where none is named; stay open."""
        self._set(Flow.SWALLOW, towards)

    def release(self) -> None:
        """Pass what was held, and what comes after it."""
        self._set(Flow.PASS, ())

    def cut(self) -> None:
        """Close both sides, like a process that ends."""
        self._end()

    def reset(self) -> None:
        """Break both sides off with a RST; what a side has not read yet, it never reads."""
        for writer in self._writers.values():
            _linger_not(writer)
        self._end()

    def _set(self, flow: Flow, towards: Iterable[Toward]) -> None:
        for toward in tuple(towards) or Toward:
            self.flows[toward] = flow
        self._released.set()
        self._released.clear()

    def _end(self) -> None:
        self.ended = True
        for writer in self._writers.values():
            # Not what is still in our buffers: it would arrive after the end.
            writer.transport.abort()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Connect to the server and pass bytes until either side closes."""
        try:
            server, writer = await asyncio.open_connection(*self._proxy.server)
        except OSError:
            self.reset()
            return
        self._writers[Toward.SERVER] = writer
        if self.ended:
            self.reset()
            return
        for toward, source in ((Toward.SERVER, reader), (Toward.CLIENT, server)):
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_CHUNKS)
            self._tasks.append(asyncio.create_task(self._take(toward, source, queue)))
            self._tasks.append(asyncio.create_task(self._give(toward, queue)))
        await asyncio.wait(self._tasks)
        for writer in self._writers.values():
            writer.close()

    async def _take(
        self,
        toward: Toward,
        reader: asyncio.StreamReader,
        queue: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        """Read on, however long the way is."""
        clock = asyncio.get_running_loop().time
        data = b"-"
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = b""
            await queue.put((clock() + self._proxy.latency[toward], data))

    async def _give(self, toward: Toward, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        clock = asyncio.get_running_loop().time
        while not self.ended:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                await self._give_end(toward)
                return
            while data and not self.ended:
                piece, data, trap = self._split(toward, data)
                if trap is not None and not trap.passes:
                    await self._pass(toward, piece[: -len(trap.pattern)])
                    trap._spring(self)
                    await self._pass(toward, piece[-len(trap.pattern) :])
                else:
                    await self._pass(toward, piece)
                    if trap is not None:
                        trap._spring(self)

    def _split(self, toward: Toward, data: bytes) -> tuple[bytes, bytes, Trap | None]:
        """The bytes up to the end of the first trap's pattern, the rest, and that trap.

        A pattern may have begun in earlier bytes; then a part of it has passed already.
        """
        tail = self._tails[toward]
        seen = tail + data
        first: tuple[int, Trap] | None = None
        for trap in self._proxy.traps:
            end = self._found(trap, toward, seen, len(tail))
            if end is not None and (first is None or end < first[0]):
                first = (end, trap)
        end, found = first or (len(seen), None)
        self._tails[toward] = seen[:end][-LONGEST_PATTERN:]
        return seen[len(tail) : end], seen[end:], found

    def _found(self, trap: Trap, toward: Toward, seen: bytes, old: int) -> int | None:
        """Where the trap's pattern ends in ``seen``, whose first ``old`` bytes have passed."""
        start = 0
        if trap.after is not None and trap not in self._armed:
            at = seen.find(trap.after)
            if at < 0:
                return None
            self._armed.add(trap)
            start = at + len(trap.after)
        if not trap.times or trap.toward is not toward:
            return None
        while (at := seen.find(trap.pattern, start)) >= 0:
            if at + len(trap.pattern) > old:
                return at + len(trap.pattern)
            start = at + 1
        return None

    async def _pass(self, toward: Toward, data: bytes) -> None:
        while self.flows[toward] is Flow.HOLD and not self.ended:
            await self._released.wait()
        if not data or self.ended:
            return
        if self.flows[toward] is Flow.SWALLOW:
            self.has_lost = True
            return
        writer = self._writers[toward]
        size = self._proxy.slice_bytes
        # On uvloop a transport that has just closed raises RuntimeError.
        with suppress(OSError, RuntimeError):
            if size is None:
                writer.write(data)
                await writer.drain()
                return
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await writer.drain()
                await asyncio.sleep(_SLICE_PAUSE)

    async def _give_end(self, toward: Toward) -> None:
        """One side has closed: the other learns it, unless its bytes are lost."""
        while self.flows[toward] is Flow.HOLD and not self.ended:
            await self._released.wait()
        if self.flows[toward] is Flow.SWALLOW:
            self.has_lost = True
            return
        with suppress(OSError, RuntimeError):
            self._writers[toward].write_eof()


Act: TypeAlias = Callable[[Link], None]


class ChaosProxy:
    """Listens on a port of its own for one server; ``async with`` opens and closes it.

    ``latency`` (seconds, per direction) and ``slice_bytes`` count for all links, at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.port = 0
        self.latency = dict.fromkeys(Toward, 0.0)
        self.slice_bytes: int | None = None
        self.traps: list[Trap] = []
        self.links: set[Link] = set()
        self._new = Flow.PASS
        self._refuses = False
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def before(cls, url: str) -> "ChaosProxy":
        """A proxy before the server that a URL names."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port)

    def through(self, url: str) -> str:
        """The URL, by way of this proxy."""
        parts = urlsplit(url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}").geturl()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._listener.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def trap(
        self,
        pattern: bytes,
        then: Act,
        *,
        toward: Toward = Toward.SERVER,
        passes: bool = False,
        after: bytes | None = None,
        times: int = 1,
    ) -> Trap:
        """Do ``then`` to a link when ``pattern`` comes by, the next ``times`` times.

        With ``passes`` the pattern is passed on before, else it meets what ``then`` has made of the
        link. With ``after`` only a link counts on which those bytes have gone by, either way.
        """
        made = Trap(pattern, toward, then, passes=passes, after=after, times=times)
        self.traps.append(made)
        return made

    def refuse(self) -> None:
        """Reset new connections, until ``heal``."""
        self._refuses = True

    def hold(self) -> None:
        """Hold all bytes of all links, new ones too, until ``heal``: the network stands still."""
        self._new = Flow.HOLD
        for link in self.links:
            link.hold()

    def swallow(self) -> None:
        """Lose all bytes of all links, new ones too, until ``heal``: a black hole."""
        self._new = Flow.SWALLOW
        for link in self.links:
            link.swallow()

    def heal(self) -> None:
        """Be honest again. Links that have lost bytes cannot be: they are reset."""
        self._new, self._refuses = Flow.PASS, False
        for link in list(self.links):
            if link.has_lost:
                link.reset()
            else:
                link.release()

    def cut(self) -> None:
        """Close all links."""
        for link in list(self.links):
            link.cut()

    def reset(self) -> None:
        """Break off all links."""
        for link in list(self.links):
            link.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(self, writer)
        if self._refuses:
            link.reset()
            return
        link.flows = dict.fromkeys(Toward, self._new)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.links.add(link)
        try:
            await link.run(reader)
        finally:
            self.links.discard(link)
            self._tasks.discard(task)


def _linger_not(writer: asyncio.StreamWriter) -> None:
    """Have the socket closed with a RST instead of a FIN."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
