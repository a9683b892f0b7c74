"""A console on the test's database, with operators who are signed in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import pytest

from gateway.app import Gateway
from gateway.operators import accounts, passwords
from gateway.operators.acting import at_the_command_line
from gateway.store.connection import Pool
from schemas.operators import Role, Warrant
from tests.conftest import OpenGateway
from tests.web.ops.client import OperatorClient

PASSWORD = "a few words in a row"
OPS = {"port": 0, "url": "https://ops.example.com"}
WARRANT = Warrant(at_the_command_line(), "for a test")

SignedIn: TypeAlias = Callable[[str, Role], Awaitable[OperatorClient]]


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash at the least cost that there is; one test looks at the real one."""
    monkeypatch.setattr(passwords, "COST", 4)


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> AsyncIterator[Gateway]:
    """A gateway with a console, as in production but on loopback."""
    async with open_gateway(ops=OPS) as opened:
        yield opened


@asynccontextmanager
async def sign_in_operator(
    pool: Pool, url: str, name: str, role: Role
) -> AsyncIterator[OperatorClient]:
    """Make an operator and sign him in, with a second factor where his role needs one."""
    token = await accounts.create_operator(pool, WARRANT, name, role)
    async with OperatorClient(url) as client:
        answer = await client.accept(f"{url}/ops/welcome/{token}", PASSWORD)
        if answer.location == "/ops/enrol":
            answer = await client.enrol()
            assert answer.status == 200
        else:
            assert answer.location == "/ops"
        yield client


@pytest.fixture
async def browse(gateway: Gateway) -> AsyncIterator[Callable[[], Awaitable[OperatorClient]]]:
    """Opens browsers."""
    async with AsyncExitStack() as stack:

        async def opened() -> OperatorClient:
            return await stack.enter_async_context(OperatorClient(gateway.console_url))

        yield opened


@pytest.fixture
async def signed_in(pool: Pool, gateway: Gateway) -> AsyncIterator[SignedIn]:
    """Makes operators and signs them in."""
    async with AsyncExitStack() as stack:

        async def signed(name: str, role: Role) -> OperatorClient:
            url = gateway.console_url
            return await stack.enter_async_context(sign_in_operator(pool, url, name, role))

        yield signed
