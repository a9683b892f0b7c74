"""The event loop of a process that stays."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from gateway.event_loop import EventLoop


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


async def _threads_that_a_connection_starts() -> int:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    before = _threads()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        started = _threads() - before
    server.close()
    return started


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in Linux' /proc")
def test_a_numeric_address_is_connected_to_without_a_thread() -> None:
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        assert runner.run(_threads_that_a_connection_starts()) == 0


async def _first_found(host: str) -> tuple[socket.AddressFamily, str]:
    loop = asyncio.get_running_loop()
    family, kind, _, _, address = (await loop.getaddrinfo(host, 80))[0]
    assert kind == socket.SOCK_STREAM
    return family, str(address[0])


def test_a_name_is_looked_up_as_ever() -> None:
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        family, address = runner.run(_first_found("localhost"))
    assert address == {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[family]
