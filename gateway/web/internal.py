"""The internal listener: metrics, liveness and readiness. On loopback unless told otherwise."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

_EVERYWHERE = re.compile(r"^(0\.0\.0\.0|\[::\]):")


def internal_app(
    page: Callable[[], Awaitable[bytes]],
    readiness: Callable[[], Awaitable[list[str]]],
    *,
    degraded: Callable[[], list[str]] = list,
    workers: Callable[[], Mapping[int, str]] | None = None,
) -> web.Application:
    """``/metrics``, ``/healthz`` (the process answers) and ``/readyz`` (it can take orders).

    ``page`` is the text of the metrics. ``readiness`` returns what is missing, in words; nothing
    missing is ready. What ``degraded`` returns is told too, and does not keep orders away: they
    wait for what they must wait for. A supervisor tells on ``/workers`` where its ``workers`` have
    theirs (host and port by number), as Prometheus reads it.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await page(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def ready(_: web.Request) -> web.Response:
        missing = await readiness()
        return web.Response(
            text=json.dumps({"ready": not missing, "missing": missing, "degraded": degraded()}),
            status=503 if missing else 200,
            content_type="application/json",
        )

    async def targets(request: web.Request) -> web.Response:
        found = workers() if workers else {}
        # Whoever listens everywhere is where the caller has found the supervisor.
        here = f"[{request.url.host}]" if ":" in (request.url.host or "") else request.url.host
        return web.json_response(
            [
                {
                    "targets": [_EVERYWHERE.sub(f"{here}:", address)],
                    "labels": {"worker": str(number)},
                }
                for number, address in found.items()
            ]
        )

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    if workers is not None:
        app.router.add_get("/workers", targets)
    return app
