"""The chaos proxy does to a connection what a test asks of it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from tests.conftest import eventually
from tests.faults.proxy import ChaosProxy, Link, Toward


class Echo:
    """A server that answers every byte with itself in capitals, and keeps what it has read."""

    def __init__(self) -> None:
        self.read = b""
        self.ends: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends, and note how it did."""
        try:
            while data := await reader.read(1000):
                self.read += data
                writer.write(data.upper())
            self.ends.append("closed")
        except ConnectionResetError:
            self.ends.append("reset")
        finally:
            writer.close()


@asynccontextmanager
async def _echo() -> AsyncIterator[Echo]:
    echo = Echo()
    listener = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = listener.sockets[0].getsockname()[1]
    try:
        yield echo
    finally:
        listener.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A server that answers in capitals."""
    async with _echo() as server:
        yield server


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[ChaosProxy]:
    """A proxy before it."""
    async with ChaosProxy("127.0.0.1", echo.port) as opened:
        yield opened


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> bytes:
        """Send bytes and read as many."""
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readexactly(len(data)), 20)

    async def hears_nothing(self) -> bool:
        """Whether neither a byte nor an end comes; every byte on its way comes by first."""
        await asyncio.sleep(0.05)
        return not self.reader._buffer and not self.reader.at_eof()  # type: ignore[attr-defined]


Connect: TypeAlias = Callable[[], Awaitable[Client]]


@pytest.fixture
async def connect(proxy: ChaosProxy) -> AsyncIterator[Connect]:
    """Opens clients of the proxy."""
    opened: list[Client] = []

    async def open_one() -> Client:
        opened.append(Client(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return opened[-1]

    yield open_one
    for client in opened:
        client.writer.transport.abort()


@pytest.fixture
async def client(connect: Connect) -> Client:
    """A client of the proxy."""
    return await connect()


async def test_an_idle_proxy_passes_everything_and_both_ends(client: Client, echo: Echo) -> None:
    large = bytes(range(97, 123)) * 10_000
    assert await client.ask(large) == large.upper()
    client.writer.write_eof()
    assert await asyncio.wait_for(client.reader.read(), 20) == b""
    assert (echo.read, echo.ends) == (large, ["closed"])


async def test_slices_and_latency_change_no_byte(client: Client, proxy: ChaosProxy) -> None:
    proxy.slice_bytes = 1
    proxy.latency = {Toward.SERVER: 0.01, Toward.CLIENT: 0.02}
    began = asyncio.get_running_loop().time()
    assert await client.ask(b"some words") == b"SOME WORDS"
    assert asyncio.get_running_loop().time() - began >= 0.03


async def test_what_is_held_comes_after_the_release(
    client: Client, proxy: ChaosProxy, echo: Echo
) -> None:
    await client.ask(b"a")
    proxy.hold()
    asked = asyncio.create_task(client.ask(b"bc"))
    assert await client.hears_nothing()
    assert echo.read == b"a"
    proxy.heal()
    assert await asked == b"BC"


async def test_a_black_hole_says_nothing_and_breaks_when_it_heals(
    client: Client, proxy: ChaosProxy, echo: Echo
) -> None:
    await client.ask(b"a")
    proxy.swallow()
    client.writer.write(b"bc")
    assert await client.hears_nothing()
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        await client.ask(b"d")
    assert echo.read == b"a"


async def test_a_cut_closes_and_a_reset_breaks_off(
    connect: Connect, proxy: ChaosProxy, echo: Echo
) -> None:
    for act, end in ((proxy.cut, "closed"), (proxy.reset, "reset")):
        client = await connect()
        await client.ask(b"a")
        act()
        if end == "closed":
            assert await asyncio.wait_for(client.reader.read(), 20) == b""
        else:
            with pytest.raises(ConnectionResetError):
                await client.ask(b"b")
        await eventually(lambda end=end: _ended(echo, end))  # type: ignore[misc]


async def _ended(echo: Echo, end: str) -> bool:
    return echo.ends[-1:] == [end]


async def test_a_refusing_proxy_resets_new_connections_alone(
    client: Client, connect: Connect, proxy: ChaosProxy
) -> None:
    await client.ask(b"a")
    proxy.refuse()
    late = await connect()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await late.ask(b"b")
    assert await client.ask(b"c") == b"C"
    proxy.heal()
    late = await connect()
    assert await late.ask(b"d") == b"D"


@pytest.mark.parametrize("pieces", [[b"say stop now"], [b"say st", b"op now"]])
async def test_a_trap_before_its_pattern_keeps_it_from_the_other_side(
    client: Client, proxy: ChaosProxy, echo: Echo, pieces: list[bytes]
) -> None:
    trap = proxy.trap(b"stop", Link.cut)
    await client.ask(pieces[0][:3])
    client.writer.write(pieces[0][3:])
    for piece in pieces[1:]:
        await eventually(lambda: _has_read(echo, pieces[0]))
        client.writer.write(piece)
    assert await asyncio.wait_for(client.reader.read(), 20) in (b"", b" ", b" ST")
    await trap.wait()
    assert b"stop" not in echo.read


async def _has_read(echo: Echo, data: bytes) -> bool:
    return data in echo.read


async def test_a_trap_behind_its_pattern_lets_it_happen_and_swallows_the_answer(
    client: Client, proxy: ChaosProxy, echo: Echo
) -> None:
    trap = proxy.trap(b"do it", Link.swallow, passes=True)
    client.writer.write(b"please do it")
    await trap.wait()
    await eventually(lambda: _has_read(echo, b"do it"))
    client.writer.write(b"never")
    assert await client.hears_nothing()
    assert echo.read == b"please do it"


async def test_a_trap_on_the_answer_springs_on_the_way_back_and_after_a_word_before(
    connect: Connect, proxy: ChaosProxy, echo: Echo
) -> None:
    trap = proxy.trap(b"DONE", Link.cut, toward=Toward.CLIENT, after=b"order 7")
    other = await connect()
    assert await other.ask(b"done") == b"DONE"
    client = await connect()
    assert await client.ask(b"order 7 ") == b"ORDER 7 "
    client.writer.write(b"done")
    assert await asyncio.wait_for(client.reader.read(), 20) == b""
    assert trap.sprung == 1
    assert echo.read.endswith(b"order 7 done")
    again = await connect()
    assert await again.ask(b"order 7 done") == b"ORDER 7 DONE", "a trap springs once"
