"""The panel's address: reads a call, picks its faults, has it carried out, and lets it answer."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from providers.sandbox import answers
from providers.sandbox.faults import (
    BadFault,
    Fault,
    FaultRules,
    answer_fault,
    delay_ms,
    faults_of_link,
)
from providers.sandbox.forms import Refused
from providers.sandbox.journal import FlushedJournal
from providers.sandbox.panel import Panel, clock, pause
from providers.sandbox.wire import read_parameters

PATH = "/api/v2"

#: The id in answers that claim an acceptance which never was; no order ever has it.
_EMPTY_PROMISE = {"order": 2**31 - 1}


class Front:
    """The panel as the network sees it, with the counters and rules that the control address has.

    ``requests`` counts calls by action, ``other`` for unknown actions and ``moved`` for clients
    that followed a redirect.
    """

    def __init__(self, panel: Panel, received: FlushedJournal) -> None:
        self.panel = panel
        self.rules = FaultRules()
        self.requests: Counter[str] = Counter()
        self.closing = asyncio.Event()
        self._received = received

    def add_routes(self, app: web.Application) -> None:
        """Serve the panel API and the target of redirects."""
        for path in (PATH, PATH + "/"):
            app.router.add_route("GET", path, self._call)
            app.router.add_route("POST", path, self._call)
        app.router.add_route("*", answers.MOVED_PATH, self._moved)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        try:
            parameters = await read_parameters(request)
        except Refused as refusal:
            self.requests["other"] += 1
            return answers.honest({"error": str(refusal)})
        action = parameters.get("action", "")
        self.requests[action if action in self.panel.actions else "other"] += 1
        if action == "add":
            self._note(parameters)
        try:
            faults = self._faults(action, parameters)
        except BadFault as error:
            # A misspelt fault must not pass for an honest order.
            return web.json_response({"error": f"sandbox: {error}"}, status=400)
        return await self._answer(request, parameters, faults)

    async def _answer(
        self, request: web.Request, parameters: Mapping[str, str], faults: tuple[Fault, ...]
    ) -> web.StreamResponse:
        await pause(delay_ms(faults, "slow-before"))
        fault = answer_fault(faults)
        payload: Any = _EMPTY_PROMISE
        if fault is None or fault.behaviour.acts:
            payload = await self.panel.act(parameters, faults)
        await pause(delay_ms(faults, "slow-after"))
        if fault is None:
            return answers.honest(payload)
        return await answers.deliver(answers.Reply(request, payload, fault, self.closing))

    def _faults(self, action: str, parameters: Mapping[str, str]) -> tuple[Fault, ...]:
        """The link's own faults first: where both decide the answer, the link's does."""
        of_link = faults_of_link(parameters.get("link", "")) if action == "add" else ()
        return (*of_link, *self.rules.draw(action))

    def _note(self, parameters: Mapping[str, str]) -> None:
        """Keep what was read before anything is decided; the key is no part of it."""
        kept = {name: text for name, text in parameters.items() if name != "key"}
        self._received.write({"at": clock(), "parameters": kept})

    async def _moved(self, request: web.Request) -> web.StreamResponse:
        self.requests["moved"] += 1
        return answers.honest({"error": "Incorrect request"})
