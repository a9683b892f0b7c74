"""Small panels on loopback, each with habits of its own, to be found out or configured for."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "odd-key-0123456789"
BAD_KEY = {"error": "Invalid API key"}
SERVICES = [
    {"service": 1, "name": "A", "type": "Default", "rate": "1", "min": 1, "max": 9},
    {"service": 2, "name": "B", "type": "fb_live", "rate": "2", "min": 1, "max": 9},
]


@dataclass
class OddPanel:
    """A panel with two orders, 11 and 12. What it is asked is kept in ``asked``."""

    method: str = "POST"
    path: str = "/api/v2"
    encoding: str = "form"
    #: A field's name, or ``header:Name``.
    key: str = "key"
    lists: bool = True
    bad_key: Mapping[str, Any] = field(default_factory=lambda: BAD_KEY)
    #: Replaces the ordinary answers to actions.
    answers: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        if request.path != self.path:
            return web.Response(text="<html><title>Welcome</title></html>", status=200)
        if request.method != self.method:
            return web.Response(text="Method Not Allowed", status=405)
        fields = await self._fields(request)
        self.asked.append(fields)
        return web.json_response(self._say(fields, request))

    async def _fields(self, request: web.Request) -> dict[str, str]:
        if self.method == "GET" or self.encoding == "query":
            return dict(request.query.items())
        if self.encoding == "json":
            body = await request.text()
            return dict(json.loads(body)) if body.startswith("{") else {}
        return {name: str(value) for name, value in (await request.post()).items()}

    def _say(self, fields: dict[str, str], request: web.Request) -> Any:
        place, _, name = self.key.partition(":")
        given = request.headers.get(name) if name else fields.get(place)
        if given != KEY:
            return self.bad_key
        action = fields.get("action", "")
        if action in self.answers:
            return self.answers[action]
        match action:
            case "balance":
                return {"balance": "12.50", "currency": "EUR"}
            case "services":
                return SERVICES
            case "status" | "refill_status":
                return self._ask(fields, "order" if action == "status" else "refill")
        return {"error": "Incorrect action"}

    def _ask(self, fields: dict[str, str], name: str) -> Any:
        if name in fields:
            return self._status(fields[name], name)
        if self.lists and f"{name}s" in fields:
            return {one: self._status(one, name) for one in fields[f"{name}s"].split(",")}
        return {"error": "Incorrect request"}

    def _status(self, one: str, name: str) -> dict[str, str]:
        words = {"11": "Completed", "12": "En cours"} if name == "order" else {}
        if one not in words:
            return {"error": "Incorrect order ID" if name == "order" else "Refill not found"}
        return {"status": words[one], "remains": "0", "start_count": "5", "charge": "0.10"}


@asynccontextmanager
async def serving(panel: OddPanel) -> AsyncIterator[OddPanel]:
    """The panel on a free port; its ``url`` is set."""
    application = web.Application()
    application.router.add_route("*", "/{anywhere:.*}", panel.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        panel.url = f"http://127.0.0.1:{port}{panel.path}"
        yield panel
    finally:
        await runner.cleanup()
