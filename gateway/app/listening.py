"""The listeners of a process, and how they end without cutting anybody off."""

import asyncio
import socket
from contextlib import AsyncExitStack

from aiohttp import web

from gateway.errors import UserError
from gateway.web.malformed import Runner
from gateway.web.slow_clients import SlowClients
from gateway.workers.loop import Loop
from schemas.config import HttpSettings, InternalSettings, OpsSettings

_KEEP_ALIVE_SECONDS = 75.0
_BACKLOG = 1024
_LOOK_SECONDS = 0.05


def public_socket(http: HttpSettings) -> socket.socket:
    """The public listening socket, for processes that share it.

    Raises:
        UserError: when the address cannot be taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _cannot_listen(http, "http.port", error) from None


def url_of(host: str, port: int) -> str:
    """The address of a listener."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cannot_listen(
    listener: HttpSettings | InternalSettings | OpsSettings, setting: str, error: OSError
) -> UserError:
    return UserError(
        f"cannot listen on {listener.host}:{listener.port} ({error.strerror}): "
        f"choose another {setting}"
    )


async def listen(
    stack: AsyncExitStack,
    app: web.Application,
    listener: HttpSettings | InternalSettings | OpsSettings,
    setting: str,
    inherited: socket.socket | None = None,
) -> str:
    """Answer on the address of ``listener`` until the stack closes; returns its URL.

    The public listener and the console's close connections that do not send a whole request in
    time. The public one drains at the end: it accepts nothing more, and whoever is connected is
    told with the next answer that the connection ends, for up to ``drain_ms``. ``inherited`` is a
    listening socket that others hold as well: what is not accepted here, they accept.

    Raises:
        UserError: when the address cannot be taken; it names the ``setting`` of the port.
    """
    draining = asyncio.Event()

    async def part(_: web.Request, response: web.StreamResponse) -> None:
        if draining.is_set():
            response.force_close()
            response.headers["Connection"] = "close"

    if isinstance(listener, HttpSettings):
        app.on_response_prepare.append(part)
    runner = Runner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    if isinstance(listener, HttpSettings | OpsSettings):
        _close_slow_clients(stack, app, runner)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site: web.BaseSite
    if inherited is None:
        # Each worker process answers operators, on one port.
        shared = isinstance(listener, OpsSettings) and listener.port != 0
        site = web.TCPSite(
            runner, listener.host, listener.port, backlog=_BACKLOG, reuse_port=shared or None
        )
    else:
        site = web.SockSite(runner, inherited, backlog=_BACKLOG)
    try:
        await site.start()
    except OSError as error:
        raise _cannot_listen(listener, setting, error) from None
    port: int = runner.addresses[0][1]
    if isinstance(listener, HttpSettings):
        stack.push_async_callback(_drain, runner, site, draining, listener.drain_ms / 1000)
    return url_of(listener.host, port)


def _close_slow_clients(stack: AsyncExitStack, app: web.Application, runner: web.AppRunner) -> None:
    """Have an application that is not yet set up close connections that are too slow."""
    slow = SlowClients(lambda: runner.server.connections if runner.server else ())
    app.middlewares.insert(0, slow.middleware)  # the outermost: others may read the body
    watchdog = Loop("slow clients", slow.work)
    watchdog.start()
    stack.push_async_callback(watchdog.stop)


async def _drain(
    runner: web.AppRunner, site: web.BaseSite, draining: asyncio.Event, seconds: float
) -> None:
    """Let every connection end after an answer, because one that is closed in between two
    requests may be just sending the next.
    """
    draining.set()
    await site.stop()
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while runner.server and runner.server.connections and loop.time() < until:
        await asyncio.sleep(_LOOK_SECONDS)
