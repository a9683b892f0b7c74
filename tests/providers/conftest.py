import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

# The suite is a library to pytest, which would show its failures without their values.
pytest.register_assert_rewrite("tests.providers.conformance")

from providers.limits import Timeouts  # noqa: E402
from providers.transport import Transport  # noqa: E402

#: Long enough for every answer that comes, short enough for those that never do.
IMPATIENT = Timeouts(connect=0.5, add=0.6, read=0.6, services=0.6)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


@pytest.fixture
async def impatient() -> AsyncIterator[Transport]:
    async with Transport(IMPATIENT) as opened:
        yield opened


@pytest.fixture
def closed_port() -> int:
    """A loopback port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
async def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look-up of a name fails, without asking anybody."""

    async def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
