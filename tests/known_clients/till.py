"""A gateway with a sandbox behind it, as programs of resellers see it: an address and a key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from gateway.store.connection import Pool
from tests.conftest import eventually
from tests.sandbox_process import SandboxProcess

FORM = "application/x-www-form-urlencoded"
#: What the classic PHP client calls itself.
CLASSIC_AGENT = "Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)"


@dataclass(slots=True)
class Till:
    """Sends exactly the bytes that a client sends, and gives back exactly what it gets."""

    url: str
    key: str
    services: Mapping[str, int]  # our service ids by the sandbox's
    pool: Pool
    sandbox: SandboxProcess
    session: aiohttp.ClientSession

    async def send(
        self,
        method: str,
        *,
        query: str = "",
        body: str | bytes | aiohttp.FormData = b"",
        path: str = "/api/v2",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The text of an answer; it is JSON, never a page, never a redirect."""
        if isinstance(body, str):
            body = body.encode()
        data = BytesIO(body) if isinstance(body, bytes) and body else body or None
        target = self.url.removesuffix("/api/v2") + path + (f"?{query}" if query else "")
        async with self.session.request(
            method,
            URL(target, encoded=True),
            data=data,
            headers={"User-Agent": CLASSIC_AGENT} | dict(headers or {}),
            allow_redirects=False,
            skip_auto_headers=["Content-Type"] if not isinstance(body, aiohttp.FormData) else [],
        ) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"] == "application/json"
            return await answer.text()

    async def form(self, **fields: object) -> Any:
        """What most clients do: a POST of a form. The answer as they decode it."""
        return await self.php(urlencode({"key": self.key} | fields))

    async def php(self, body: str) -> Any:
        """A POST of a body that is built by hand."""
        return json.loads(await self.send("POST", body=body, headers={"Content-Type": FORM}))

    async def get(self, query: str) -> Any:
        """A GET with everything in the address."""
        return json.loads(await self.send("GET", query=query))

    async def post_json(self, value: object) -> Any:
        """A POST of JSON."""
        headers = {"Content-Type": "application/json"}
        return json.loads(await self.send("POST", body=json.dumps(value), headers=headers))

    async def placed(self, *orders: int) -> None:
        """Wait until the upstream has these orders."""

        async def taken() -> bool:
            number = await self.pool.fetchval(
                "select count(*) from orders where id = any($1) and upstream_id is not null",
                list(orders),
            )
            return bool(number == len(orders))

        await eventually(taken)

    async def ended(self, *orders: int) -> None:
        """Bring everything upstream to its end, and wait until these orders are told of it."""
        await self.placed(*orders)
        await self.sandbox.control("advance", {"work": 1})

        async def told() -> bool:
            number = await self.pool.fetchval(
                """select count(*) from orders
                    where id = any($1) and wire_status in ('Completed', 'Partial', 'Canceled')""",
                list(orders),
            )
            return bool(number == len(orders))

        await eventually(told)

    def sent_upstream(self, link: str) -> list[dict[str, Any]]:
        """The parameters of the orders for this link, as the upstream got them."""
        return [
            r["parameters"] for r in self.sandbox.received() if r["parameters"].get("link") == link
        ]
