"""The console's style and script, under names that change with their content."""

import hashlib
from importlib.resources import files

from aiohttp import web

from gateway.web.ops.visit import NotFound, Visit

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


def _read() -> dict[str, tuple[str, bytes]]:
    found = {}
    for file in files("gateway.web.ops").joinpath("static").iterdir():
        name, _, ending = file.name.rpartition(".")
        if ending in _TYPES:
            body = file.read_bytes()
            mark = hashlib.sha256(body).hexdigest()[:12]
            found[file.name] = (f"{name}-{mark}.{ending}", body)
    return found


_FILES = _read()
_BODIES = dict(_FILES.values())


def address_of(name: str) -> str:
    """Where a file is found, for templates."""
    return f"/ops/static/{_FILES[name][0]}"


async def serve(visit: Visit) -> web.Response:
    """One file."""
    name = visit.place("name")
    if name not in _BODIES:
        raise NotFound("There is no such file.")
    return web.Response(
        body=_BODIES[name],
        content_type=_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers={"Cache-Control": _FOR_EVER},
    )


ROUTES = (("GET", "/ops/static/{name}", serve),)
