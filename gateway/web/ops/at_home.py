"""The console in development: open to this machine alone, because it needs no second factor."""

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from gateway.loopback import is_loopback

log = structlog.get_logger()

_REFUSAL = (
    "ops.development is on: this console answers this machine alone, at its loopback address. "
    "For others, set ops.url and switch it off."
)


def is_at_home(host: str, headers: Iterable[str]) -> bool:
    """Whether a request for ``host``, with headers of these names, came straight from here.

    A proxy on this machine reaches the listener too. It is known by the host that it was asked for,
    or by the headers that it adds. A foreign host may also be a page elsewhere whose name was made
    to lead here.
    """
    names = [name.casefold() for name in headers]
    if any(name == "forwarded" or name.startswith("x-forwarded-") for name in names):
        return False
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


@web.middleware
async def only_this_machine(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse every request that did not come straight from this machine."""
    if not is_at_home(request.headers.get("Host", ""), request.headers):
        log.warning("security.development_reached")
        return web.Response(status=403, text=_REFUSAL)
    return await handler(request)
