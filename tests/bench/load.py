"""The load generator, a process of its own: ``python -m tests.bench.load``.

It reads one measurement a line from standard input and answers each with one line, both JSON. Raw
sockets and ready-made requests, so that it costs little beside what it measures.
"""

import asyncio
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Measurement:
    """What to ask of whom. Every answer must start and end with the bytes that are named.

    With a ``rate``, so many calls a second leave whether or not earlier ones are answered, as
    long as a connection is free; otherwise every connection asks again as soon as it is answered.
    """

    port: int
    bodies: list[str]
    starts: str
    ends: str
    connections: int
    warm_seconds: float
    seconds: float
    rate: float = 0


@dataclass(frozen=True, slots=True)
class Result:
    """``answers`` came within ``seconds``; ``total`` counts warm-up and the answers after too.

    ``p50_ms`` and ``p99_ms`` are from when a call was due until it was answered; 0 without a rate.
    """

    answers: int
    total: int
    seconds: float
    wrong: list[str]
    p50_ms: float = 0
    p99_ms: float = 0


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
        self.paced = measurement.rate > 0
        self.free: deque[_Client] = deque()
        self.seconds: list[float] = []


class _Client(asyncio.Protocol):
    """One connection with one call in flight."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._head = b""
        self._left = -1  # bytes of the body to come; below 0 while the head is read
        self._due_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self._go_on()

    def ask(self, due_at: float = 0.0) -> None:
        """Make the next call, which was due then on the loop's clock."""
        self._due_at = due_at
        self._transport.write(next(self._run.requests))

    def close(self) -> None:
        """Nothing more to ask."""
        self._transport.close()

    def _go_on(self) -> None:
        if self._run.paced:
            self._run.free.append(self)
        else:
            self.ask()

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
        if run.paced:
            run.seconds.append(asyncio.get_running_loop().time() - self._due_at)
        if run.stopping or run.wrong:
            self.close()
        else:
            self._go_on()

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
    pacing = asyncio.ensure_future(_pace(run, measurement.rate)) if run.paced else None
    await asyncio.sleep(measurement.warm_seconds)
    warm, began = run.answers, loop.time()
    run.seconds.clear()
    await asyncio.sleep(measurement.seconds)
    answers, seconds = run.answers - warm, loop.time() - began
    run.stopping = True
    if pacing is not None:
        pacing.cancel()
    for client in run.free:
        client.close()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await asyncio.gather(*(client.done for client in clients))
    took = sorted(run.seconds) or [0.0]
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    return Result(answers, run.answers, seconds, run.wrong[:3], p50 * 1000, p99 * 1000)


async def _pace(run: _Run, rate: float) -> None:
    """Make calls when they are due; what finds no free connection waits, and counts the wait."""
    loop = asyncio.get_running_loop()
    began, made = loop.time(), 0
    while True:
        while run.free and began + made / rate <= loop.time():
            run.free.popleft().ask(began + made / rate)
            made += 1
        await asyncio.sleep(0.001)


def main() -> None:
    """Serve measurements until standard input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            result = runner.run(measure(Measurement(**json.loads(line))))
            print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
