"""The event loop of a process that stays."""

import socket
from typing import Any

import uvloop


class EventLoop(uvloop.Loop):
    """uvloop, which connects a socket to a numeric address without asking a thread what it means.

    Before it connects it looks the address up, for any type of socket, but knows by itself only
    what an address means for one type. A new connection is made for every order.
    """

    async def getaddrinfo(self, *where: Any, type: int = 0, **rest: Any) -> Any:
        """As everywhere, for streams when nothing else is asked for."""
        return await super().getaddrinfo(*where, type=type or socket.SOCK_STREAM, **rest)
