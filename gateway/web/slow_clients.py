"""Slow clients: a connection that does not send a whole request in time is closed.

aiohttp waits for a head as long as for the next request, and for a body without end. So whoever
opens many sockets and sends nothing, or a byte now and then, would hold them all. After its first
request a connection is bounded by the keep-alive time, which no half-sent head extends.
"""

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.metrics import SLOW_CLIENTS

#: A first head gets so long from the connection on, a body so long from its head on
#: (``reliability`` S26). A reverse proxy in front has limits of its own, which are shorter.
LONGEST_SECONDS = 15.0
_LOOK_SECONDS = 1.0


class SlowClients:
    """Knows which connections of a server still owe the rest of a request.

    ``middleware`` must be the outermost of the server's application, and ``work`` be called by a
    loop, with the server's connections at hand.
    """

    def __init__(self, connections: Callable[[], Iterable[web.RequestHandler]]) -> None:
        self._connections = connections
        self._silent_since: dict[web.RequestHandler, float] = {}
        self._heard: set[web.RequestHandler] = set()

    async def work(self) -> float:
        """Close connections that owe their first head for too long; seconds to the next look."""
        now = asyncio.get_running_loop().time()
        there = set(self._connections())
        self._heard &= there
        known = self._silent_since
        self._silent_since = {c: known.get(c, now) for c in there - self._heard}
        for connection, since in self._silent_since.items():
            if now - since >= LONGEST_SECONDS:
                SLOW_CLIENTS.labels("head").inc()
                connection.force_close()
        return _LOOK_SECONDS

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take note that a head has come, and close the connection if its body does not."""
        self._heard.add(request.protocol)
        if request.content.is_eof():
            return await handler(request)
        timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, _close_unless_whole, request)
        try:
            return await handler(request)
        finally:
            timer.cancel()


def _close_unless_whole(request: web.Request) -> None:
    if not request.content.is_eof() and request.transport is not None:
        SLOW_CLIENTS.labels("body").inc()
        request.transport.abort()
