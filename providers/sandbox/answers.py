"""How an answer leaves, or fails to: the sockets' side of the faults."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiohttp import web

from providers.sandbox.faults import Fault, Manner
from providers.sandbox.shapes import with_order_id, with_shape

#: Where redirects point: it counts who follows.
MOVED_PATH = "/moved"

#: Closing with this linger discards what waits to be sent and resets the connection.
_RESET = struct.pack("ii", 1, 0)
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer about to leave: ``payload`` is the honest JSON value, None where none was made."""

    request: web.Request
    payload: Any
    fault: Fault
    closing: asyncio.Event

    @property
    def argument(self) -> str:
        """The argument of the fault."""
        return self.fault.argument


Deliver: TypeAlias = Callable[[Reply], Awaitable[web.StreamResponse]]


def compact(payload: Any) -> str:
    """JSON as the reference writes it."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def honest(payload: Any) -> web.Response:
    """An answer as it should be."""
    return web.Response(text=compact(payload), content_type="application/json")


async def deliver(reply: Reply) -> web.StreamResponse:
    """Answer, or not, in the manner of the fault."""
    return await _MANNERS[reply.fault.behaviour.manner](reply)


async def _error(reply: Reply) -> web.StreamResponse:
    body = compact({"error": reply.argument})
    status = reply.fault.behaviour.status
    return web.Response(text=body, status=status, content_type="application/json")


async def _page(reply: Reply) -> web.StreamResponse:
    behaviour = reply.fault.behaviour
    if behaviour.status == 429:
        body, headers = compact({"error": "Too many requests"}), {"Retry-After": reply.argument}
    else:
        body, headers = reply.argument, {}
    return web.Response(
        text=body, status=behaviour.status, content_type=behaviour.content_type, headers=headers
    )


async def _reset(reply: Reply) -> web.StreamResponse:
    transport = reply.request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    return web.Response()


async def _close(reply: Reply) -> web.StreamResponse:
    if reply.request.transport is not None:
        reply.request.transport.close()
    return web.Response()


async def _hang(reply: Reply) -> web.StreamResponse:
    """Say nothing until the client has gone or the panel stops."""
    while not reply.closing.is_set():
        transport = reply.request.transport
        if transport is None or transport.is_closing():
            break
        await asyncio.sleep(_LOOK_EVERY)
    return await _close(reply)


async def _truncate(reply: Reply) -> web.StreamResponse:
    body = compact(reply.payload).encode()
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    # More than there is, so that the connection ends early even after the whole body.
    answer.content_length = len(body) + 64
    await answer.prepare(reply.request)
    await answer.write(body[: int(reply.argument)])
    await _close(reply)
    return answer


async def _cut(reply: Reply) -> web.StreamResponse:
    body = compact(reply.payload)[: int(reply.argument)]
    return web.Response(text=body, content_type="application/json")


async def _prefix(reply: Reply) -> web.StreamResponse:
    return web.Response(text=reply.argument + compact(reply.payload), content_type="text/html")


async def _padding(reply: Reply) -> web.StreamResponse:
    body = " " * int(reply.argument) + compact(reply.payload)
    return web.Response(text=body, content_type="application/json")


async def _redirect(reply: Reply) -> web.StreamResponse:
    return web.Response(status=int(reply.argument), headers={"Location": MOVED_PATH})


async def _noise(reply: Reply) -> web.StreamResponse:
    if isinstance(reply.request.transport, asyncio.WriteTransport):
        reply.request.transport.write(b"220 mail.example.com ESMTP\r\n\r\n")
    return await _close(reply)


async def _order_id(reply: Reply) -> web.StreamResponse:
    return honest(with_order_id(reply.payload, reply.argument))


async def _shape(reply: Reply) -> web.StreamResponse:
    return honest(with_shape(reply.payload, reply.argument))


_MANNERS: dict[Manner, Deliver] = {
    Manner.ERROR: _error,
    Manner.PAGE: _page,
    Manner.RESET: _reset,
    Manner.CLOSE: _close,
    Manner.HANG: _hang,
    Manner.TRUNCATE: _truncate,
    Manner.CUT: _cut,
    Manner.PREFIX: _prefix,
    Manner.PADDING: _padding,
    Manner.REDIRECT: _redirect,
    Manner.NOISE: _noise,
    Manner.ORDER_ID: _order_id,
    Manner.SHAPE: _shape,
}
