"""The load generator, a process of its own: ``python -m tests.bench.load``.

It reads one measurement a line from standard input and answers each with one line, both JSON. Raw
sockets and ready-made requests, so that it costs little beside what it measures.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Measurement:
    """What to ask of whom. Every answer must start and end with the bytes that are named."""

    port: int
    bodies: list[str]
    starts: str
    ends: str
    connections: int
    warm_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """``answers`` came within ``seconds``; ``total`` counts warm-up and the answers after too."""

    answers: int
    total: int
    seconds: float
    wrong: list[str]


def request_bytes(body: str) -> bytes:
    """A call as a client with a kept connection sends it."""
    return (
        "POST /api/v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class _Run:
    """What the connections of one measurement share."""

    def __init__(self, measurement: Measurement) -> None:
        self.requests: Iterator[bytes] = itertools.cycle(map(request_bytes, measurement.bodies))
        self.starts = measurement.starts.encode()
        self.ends = measurement.ends.encode()
        self.answers = 0
        self.stopping = False
        self.wrong: list[str] = []


class _Client(asyncio.Protocol):
    """One connection with one call in flight."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._head = b""
        self._left = -1  # bytes of the body to come; below 0 while the head is read
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head_end = self._head.find(b"\r\n\r\n") + 4
            if head_end < 4:
                return
            self._begin_body(head_end)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._finish(data)

    def _begin_body(self, start: int) -> None:
        run, head = self._run, self._head
        at = head.index(b"Content-Length: ", 0, start) + 16
        self._left = int(head[at : head.index(b"\r", at)]) - (len(head) - start)
        if not head.startswith(b"HTTP/1.1 200 ") or not head.startswith(run.starts, start):
            run.wrong.append(head[:500].decode(errors="replace"))

    def _finish(self, last: bytes) -> None:
        run = self._run
        if not last.endswith(run.ends):
            run.wrong.append(last[-500:].decode(errors="replace"))
        run.answers += 1
        self._head, self._left = b"", -1
        if run.stopping or run.wrong:
            self._transport.close()
        else:
            self._transport.write(next(run.requests))

    def connection_lost(self, error: Exception | None) -> None:
        if self._left >= 0 or self._head or not (self._run.stopping or self._run.wrong):
            self._run.wrong.append(f"the connection was lost: {error}")
        self.done.set_result(None)


async def measure(measurement: Measurement) -> Result:
    """Keep every connection busy for a while, and wait for the last answers."""
    loop = asyncio.get_running_loop()
    run = _Run(measurement)
    clients = [
        (await loop.create_connection(lambda: _Client(run), "127.0.0.1", measurement.port))[1]
        for _ in range(measurement.connections)
    ]
    await asyncio.sleep(measurement.warm_seconds)
    warm, began = run.answers, loop.time()
    await asyncio.sleep(measurement.seconds)
    answers, seconds = run.answers - warm, loop.time() - began
    run.stopping = True
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await asyncio.gather(*(client.done for client in clients))
    return Result(answers, run.answers, seconds, run.wrong[:3])


def main() -> None:
    """Serve measurements until standard input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            result = runner.run(measure(Measurement(**json.loads(line))))
            print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
