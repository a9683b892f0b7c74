"""A gateway process with a reseller's view from outside and an operator's view from inside."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.store.connection import Pool
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Request:
    """One call; in its texts ``$KEY``, ``$DEFAULT``, ``$OWN`` ... stand for the desk's names."""

    body: str | bytes = b""
    method: str = "POST"
    path: str = "/api/v2"
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: FORM)


def form(fields: Mapping[str, str | list[str]]) -> str:
    """Fields as a form body; the desk's names stay readable."""
    return urlencode(fields, doseq=True, safe="$")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a call may have changed: rows, money, and calls that reached the upstream."""

    orders: int
    entries: int
    attempts: int
    refills: int
    cancellations: int
    money: int
    upstream: int
    asked: int


async def ask(session: aiohttp.ClientSession, base: str, request: Request) -> Answer:
    """Send a call exactly as it is written, following no redirect."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    query = f"?{request.query}" if request.query else ""
    call: AbstractAsyncContextManager[aiohttp.ClientResponse] = session.request(
        request.method,
        URL(base.removesuffix("/api/v2") + request.path + query, encoded=True),
        data=BytesIO(body) if body else None,
        headers=request.headers,
        allow_redirects=False,
        skip_auto_headers=["Content-Type"],
    )
    async with call as answer:
        return Answer(answer.status, answer.headers, await answer.read())


@dataclass(slots=True)
class Desk:
    """One gateway with a sandbox behind it, resellers with an order each, and some services.

    ``names`` are what requests may mention.
    """

    pool: Pool
    world: World
    gateway: GatewayProcess
    sandbox: SandboxProcess
    session: aiohttp.ClientSession
    customer: Customer
    names: dict[str, str]

    def fill(self, text: str) -> str:
        """The text with the desk's names in place."""
        for name, value in self.names.items():
            text = text.replace(f"${name}", value)
        return text

    async def ask(self, request: Request) -> Answer:
        """Send a call with the desk's names in place."""
        body = request.body
        if isinstance(body, bytes):
            for name, value in self.names.items():
                body = body.replace(f"${name}".encode(), value.encode())
        else:
            body = self.fill(body)
        filled = Request(
            body=body,
            method=request.method,
            path=request.path,
            query=self.fill(request.query),
            headers={name: self.fill(text) for name, text in request.headers.items()},
        )
        return await ask(self.session, self.gateway.url, filled)

    async def call(self, action: str, **fields: str | list[str]) -> Answer:
        """A call of the customer as a form."""
        return await self.ask(Request(form({"key": "$KEY", "action": action} | fields)))

    async def facts(self) -> Facts:
        """What is written now."""
        row = await self.pool.fetchrow(
            """select (select count(*) from orders), (select count(*) from entry),
                      (select count(*) from attempt), (select count(*) from refill),
                      (select count(*) from cancellation), (select sum(amount) from balance)"""
        )
        assert row is not None
        orders, entries, attempts, refills, cancellations, money = row
        return Facts(
            orders=orders,
            entries=entries,
            attempts=attempts,
            refills=refills,
            cancellations=cancellations,
            money=int(money),
            upstream=len(self.sandbox.received()),
            asked=await self.asked("refill", "cancel"),
        )

    async def asked(self, *actions: str) -> int:
        """How many calls of these actions the upstream has read."""
        requests = (await self.sandbox.control("state"))["requests"]
        return sum(requests.get(action, 0) for action in actions)

    async def settled(self) -> None:
        """Wait until nothing is on its way upstream."""

        async def quiet() -> bool:
            left = await self.pool.fetchval(
                "select count(*) from orders where state in ('queued', 'sending')"
            )
            return bool(left == 0)

        await eventually(quiet)

    def printed(self, since: int = 0) -> str:
        """What the gateway has printed after its first ``since`` bytes."""
        return self.gateway.log.read_bytes()[since:].decode("utf-8", "replace")

    async def assert_refused(self, request: Request, text: str, status: int = 200) -> None:
        """The call gets this refusal and nothing else: no row, no money, nothing sent or said.

        The body is compared as a whole, so it holds no trace and no echo of what was sent.
        """
        before, mark = await self.facts(), len(self.gateway.log.read_bytes())
        answer = await self.ask(request)
        assert answer.body == json.dumps({"error": text}, separators=(",", ":")).encode()
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not {"Location", "Set-Cookie"} & set(answer.headers)
        assert await self.facts() == before
        printed = self.printed(mark)
        assert self.customer.key not in printed
        assert "Traceback" not in printed
