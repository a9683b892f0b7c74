"""An upstream made of plain sockets: it can answer anything, or nothing, and counts what came."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

KEY = "pk_live_0123456789abcdefSECRET"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire; ``form`` is what query and body hold together."""

    method: str
    target: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


Behaviour: TypeAlias = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Upstream:
    """A loopback server that treats every request with ``behaviour``."""

    behaviour: Behaviour
    ssl: SSLContext | None = None
    #: Done to each connection before anything is read from it.
    greet: Callable[[asyncio.StreamWriter], None] | None = None
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        scheme = "https" if self.ssl else "http"
        return f"{scheme}://127.0.0.1:{self.port}/api/v2"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self.ssl, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.greet:
            self.greet(writer)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                while not writer.is_closing() and (request := await read_request(reader)):
                    self.requests.append(request)
                    await self.behaviour(request, writer)
        finally:
            self._tasks.discard(task)
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    form = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    in_json = headers.get("content-type") == "application/json"
    form |= json.loads(body) if in_json else dict(parse_qsl(body, keep_blank_values=True))
    return Request(method, target, headers, form)


def answer_bytes(
    body: str | bytes,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """A whole HTTP answer; ``length`` makes it claim another length than it has."""
    content = body.encode() if isinstance(body, str) else body
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(content) if length is None else length}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def says(
    *bodies: str | bytes,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """Answer the requests with ``bodies`` in turn, the last one for ever."""
    left = list(bodies)

    async def behaviour(request: Request, writer: asyncio.StreamWriter) -> None:
        body = left.pop(0) if len(left) > 1 else left[0]
        writer.write(answer_bytes(body, status, content_type, headers))
        await writer.drain()

    return behaviour


def sends(raw: bytes) -> Behaviour:
    """Write ``raw`` and close."""

    async def behaviour(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    return behaviour


async def resets(request: Request, writer: asyncio.StreamWriter) -> None:
    """Cut the connection hard after the request was read."""
    reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST instead of a FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hangs(request: Request, writer: asyncio.StreamWriter) -> None:
    """Never answer; the connection ends with the server."""
    await asyncio.Event().wait()
