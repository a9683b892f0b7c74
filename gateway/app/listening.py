"""The listeners of a process."""

from contextlib import AsyncExitStack

from aiohttp import web

from gateway.errors import UserError
from schemas.config import HttpSettings, InternalSettings

_KEEP_ALIVE_SECONDS = 75.0


async def listen(
    stack: AsyncExitStack,
    app: web.Application,
    listener: HttpSettings | InternalSettings,
    setting: str,
) -> str:
    """Answer on the address of ``listener`` until the stack closes; returns its URL.

    Raises:
        UserError: when the address cannot be taken; it names the ``setting`` of the port.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, listener.host, listener.port, backlog=1024).start()
    except OSError as error:
        raise UserError(
            f"cannot listen on {listener.host}:{listener.port} ({error.strerror}): "
            f"choose another {setting}"
        ) from None
    return f"http://{listener.host}:{runner.addresses[0][1]}"
