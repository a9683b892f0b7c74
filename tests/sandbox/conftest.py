"""A sandbox panel in this process, at rest until a test moves it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest

from providers.sandbox import SandboxAddress, SandboxSettings, run_sandbox
from providers.sandbox.journal import read_records
from schemas.money import UNIT


@dataclass(frozen=True, slots=True)
class Wire:
    """What came back over a socket, and how the connection ended: eof, reset or silence."""

    data: bytes
    end: str

    @property
    def status(self) -> int:
        """The status code; 0 where no HTTP answer began."""
        return int(self.data.split(b" ")[1]) if self.data.startswith(b"HTTP/1.1 ") else 0

    @property
    def head(self) -> str:
        """The headers in lower case."""
        return self.data.partition(b"\r\n\r\n")[0].decode().lower()

    @property
    def body(self) -> bytes:
        """The body as far as it came."""
        return self.data.partition(b"\r\n\r\n")[2]


@dataclass(slots=True)
class RunningPanel:
    """A panel that answers, and its directory."""

    address: SandboxAddress
    data_dir: Path
    session: aiohttp.ClientSession

    async def call(self, action: str, **parameters: object) -> Any:
        """One call as a form; the JSON that came back."""
        form = {"key": self.address.key, "action": action}
        form |= {name: str(value) for name, value in parameters.items()}
        async with self.session.post(self.address.url, data=form) as answer:
            return json.loads(await answer.read())

    async def add(self, link: str = "https://example.com/p/1", **parameters: object) -> Any:
        """An ``add``; 1,000 pieces of service 101 unless told otherwise."""
        return await self.call("add", **{"service": 101, "quantity": 1000} | parameters, link=link)

    async def control(self, path: str, command: Any = None, method: str = "POST") -> Any:
        """One command to the control address; the JSON that came back."""
        url = self.address.url.removesuffix("/api/v2") + "/control/" + path
        async with self.session.request(method, url, json=command) as answer:
            return await answer.json()

    async def balance(self) -> str:
        """What the account holds."""
        answer = await self.call("balance")
        return str(answer["balance"])

    def accepted(self) -> list[dict[str, Any]]:
        """The accepted orders on disk."""
        return read_records(self.data_dir / "accepted.jsonl")

    def received(self) -> list[dict[str, Any]]:
        """The adds read, on disk."""
        return read_records(self.data_dir / "received.jsonl")

    async def raw(self, silence: float = 30.0, **parameters: object) -> Wire:
        """An ``add`` over a bare socket, read until it ends or is silent for ``silence`` s."""
        form = {"key": self.address.key, "action": "add", "service": 101, "quantity": 100}
        body = urlencode(form | parameters).encode()
        where = urlsplit(self.address.url)
        head = f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
        head += "Content-Type: application/x-www-form-urlencoded\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(head.encode() + body)
        data, end = b"", "eof"
        try:
            while chunk := await asyncio.wait_for(reader.read(65_536), silence):
                data += chunk
        except TimeoutError:
            end = "silence"
        except ConnectionResetError:
            end = "reset"
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return Wire(data, end)


Launch: TypeAlias = Callable[..., Awaitable[RunningPanel]]


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    """Start a panel with its orders at rest; settings by name. It ends with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: Any) -> RunningPanel:
            wanted = {"data_dir": tmp_path, "seconds": None, "balance": 1_000 * UNIT} | settings
            loop = asyncio.get_running_loop()
            ready: asyncio.Future[SandboxAddress] = loop.create_future()
            task = asyncio.create_task(run_sandbox(SandboxSettings(**wanted), ready.set_result))
            stack.push_async_callback(_ended, task)
            either: list[asyncio.Future[Any]] = [task, ready]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return RunningPanel(ready.result(), wanted["data_dir"], session)

        yield start


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
async def panel(launch: Launch) -> RunningPanel:
    """A panel at rest with 1,000.00 on the account."""
    return await launch()
