"""C24, S26: many sockets that never send a whole request take nothing from those that do."""

import asyncio
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.embedded import Addresses
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.world import World

#: ``SLOW_SOCKETS=5000`` is the size of the plan.
SLOW_SOCKETS = int(os.environ.get("SLOW_SOCKETS", "600"))
#: So many others wait with their next request, on connections that have answered one.
_IDLE = SLOW_SOCKETS // 5
_SPARE_FILES = 300
_LONGEST_SECONDS = 120
_NOBODY = "http://127.0.0.1:9/api/v2"
_HEAD = (
    b"POST /api/v2 HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)
#: What each kind sends at once; a byte of it again each second, for as long as it is listened to.
_KINDS = {
    "silent": (b"", b""),
    "half a head": (_HEAD, b"X-Slow: 1\r\n"),
    "half a body": (_HEAD + b"Content-Length: 10000\r\n\r\naction=", b"a"),
    "half a chunk": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\naction=", b"a"),
    "a body that nobody reads": (
        b"POST /nothing-here HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10000\r\n\r\n",
        b"a",
    ),
}


async def test_slow_sockets_are_closed_and_orders_beside_them_are_all_taken(
    engines: Addresses, database_url: str, world: World, tmp_path: Path
) -> None:
    _need_files(SLOW_SOCKETS + _IDLE + _SPARE_FILES)
    customer = await world.reseller(funds="1000000")
    service = await world.service(await world.provider(_NOBODY))
    async with (
        GatewayProcess(database_url, engines.redis_url, tmp_path / "gateway.log") as gateway,
        _slow_sockets(gateway.url) as slow,
        PanelClient(gateway.url, customer.key) as client,
        asyncio.timeout(_LONGEST_SECONDS),
    ):
        idle = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(_IDLE)]
        for connection in idle:
            await _ask(*connection)
        orders = 0
        while slow.open:
            status, body = await client.raw(
                "add", service=service, link=f"https://a.example/{orders}", quantity=100
            )
            assert status == 200, body
            orders += 1
        # Whoever was idle in between two requests was not taken for a slow client.
        for reader, writer in idle:
            await _ask(reader, writer)
            writer.close()
        assert slow.closed == Counter({kind: SLOW_SOCKETS // len(_KINDS) for kind in _KINDS})
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{gateway.internal_url}/metrics") as answer,
        ):
            told = await answer.text()
    share = SLOW_SOCKETS // len(_KINDS)
    assert f'smm_slow_clients_total{{part="head"}} {2 * share}.0' in told
    assert f'smm_slow_clients_total{{part="body"}} {2 * share}.0' in told
    assert "loop.failed" not in gateway.log_text()
    assert "request.failed" not in gateway.log_text()
    await world.assert_sound()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A whole request and its answer, on a connection that stays open."""
    writer.write(b"GET /api/v2 HTTP/1.1\r\nHost: gateway\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))


class _Slow:
    """Slow sockets: how many are open, and how many of each kind the server has closed."""

    def __init__(self) -> None:
        self.open = 0
        self.closed: Counter[str] = Counter()

    async def run(self, url: str, kind: str) -> None:
        """Open one, and keep it open as well as can be."""
        to = urlsplit(url)
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        first, again = _KINDS[kind]
        writer.write(first)
        closing = asyncio.create_task(_end_of(reader))
        try:
            while not (await asyncio.wait([closing], timeout=1))[0]:
                writer.write(again)
        finally:
            closing.cancel()
            writer.transport.abort()
            self.open -= 1
        self.closed[kind] += 1


async def _end_of(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(4096):
            pass


@asynccontextmanager
async def _slow_sockets(url: str) -> AsyncIterator[_Slow]:
    slow = _Slow()
    kinds = list(_KINDS) * (SLOW_SOCKETS // len(_KINDS))
    slow.open = len(kinds)
    tasks = [asyncio.create_task(slow.run(url, kind)) for kind in kinds]
    try:
        yield slow
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _need_files(number: int) -> None:
    """Let this process, and those that it starts, open so many files; or a loud skip."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if number > hard != resource.RLIM_INFINITY:
        pytest.skip(f"SKIPPED, NOT TESTED: {number} open files are not allowed here (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
