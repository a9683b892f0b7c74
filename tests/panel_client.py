"""A client of the panel API for tests: sends what it is told, returns what came back."""

import json
from types import TracebackType
from typing import Any, Self

import aiohttp


class PanelClient:
    """One key at one panel. It gives a call up after ``patience`` seconds (TimeoutError)."""

    def __init__(self, url: str, key: str, *, patience: float | None = None) -> None:
        self.url = url
        self.key = key
        self._timeout = aiohttp.ClientTimeout(total=patience)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def raw(self, action: str, **parameters: object) -> tuple[int, bytes]:
        """HTTP status and body of one call."""
        form = {"key": self.key, "action": action} | {k: str(v) for k, v in parameters.items()}
        async with self._session.post(self.url, data=form) as answer:
            return answer.status, await answer.read()

    async def call(self, action: str, **parameters: object) -> Any:
        """The JSON answer of one call."""
        return json.loads((await self.raw(action, **parameters))[1])

    async def add(
        self, service: int, quantity: int = 100, link: str = "https://a.example/1"
    ) -> int:
        """Place an order that must be accepted; its id."""
        answer = await self.call("add", service=service, quantity=quantity, link=link)
        assert set(answer) == {"order"}, answer
        order: int = answer["order"]
        return order
