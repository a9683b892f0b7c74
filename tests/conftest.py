"""The real parts that the suite runs on: embedded engines once, a database of its own per test."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import pytest
import structlog
from structlog.testing import LogCapture

from gateway.app import Gateway
from gateway.config import load_settings
from gateway.embedded import Addresses, EmbeddedEngines, erase
from gateway.store.connection import Pool, open_pool
from gateway.store.migrate import migrate
from gateway.valkey_client import close_client, open_client
from tests.application_role import as_application, give_rights, make_role, superuser_url
from tests.sandbox_process import SandboxProcess
from tests.world import SECURITY, World

_TEMPLATE = "template_migrated"
_numbers = itertools.count(1)

OpenGateway: TypeAlias = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture
def loud() -> Iterator[None]:
    """Lines from ``info`` upwards can be captured."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
def engines_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the engines of the run."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
async def engines(engines_dir: Path) -> AsyncIterator[Addresses]:
    """PostgreSQL and Valkey for the whole run."""
    async with EmbeddedEngines(engines_dir) as addresses:
        await make_role(superuser_url(addresses, engines_dir))
        yield addresses
    erase(engines_dir)


@asynccontextmanager
async def _maintenance(engines: Addresses) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    conn = await asyncpg.connect(engines.database_url)
    try:
        yield conn
    finally:
        await conn.close()


def _url_of(engines: Addresses, database: str) -> str:
    return urlsplit(engines.database_url)._replace(path=f"/{database}").geturl()


@pytest.fixture(scope="session")
async def migrated_template(engines: Addresses) -> str:
    """The name of a migrated database that tests are copied from."""
    async with _maintenance(engines) as conn:
        await conn.execute(f"create database {_TEMPLATE}")
    conn = await asyncpg.connect(_url_of(engines, _TEMPLATE))
    try:
        await migrate(conn)
        await give_rights(conn)
    finally:
        await conn.close()
    return _TEMPLATE


@pytest.fixture
async def database_url(engines: Addresses, migrated_template: str) -> AsyncIterator[str]:
    """A migrated, empty database that belongs to this test alone."""
    name = f"test_{next(_numbers)}"
    async with _maintenance(engines) as conn:
        await conn.execute(f"create database {name} template {migrated_template}")
    yield _url_of(engines, name)
    async with _maintenance(engines) as conn:
        await eventually(lambda: _dropped(conn, name))


async def _dropped(conn: "asyncpg.Connection[asyncpg.Record]", name: str) -> bool:
    try:
        await conn.execute(f"drop database {name} with (force)")
    except asyncpg.InsufficientPrivilegeError:
        # Autovacuum is just at work there; only a superuser may end that, and it ends by itself.
        return False
    return True


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to the test's database."""
    opened = await open_pool(database_url, size=10)
    yield opened
    await opened.close()


@pytest.fixture
def world(pool: Pool) -> World:
    """Makes resellers, providers and services in the test's database."""
    return World(pool)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxProcess]:
    """A sandbox panel in its own process; orders rest until the test moves them."""
    async with SandboxProcess(tmp_path / "sandbox") as panel:
        yield panel


@pytest.fixture
async def redis_url(engines: Addresses) -> str:
    """An empty Valkey database: resellers' numbers are the same in every test."""
    url = urlsplit(engines.redis_url)._replace(path=f"/{next(_numbers) % 15 + 1}").geturl()
    client = open_client(url, timeout_seconds=5)
    await client.flushdb()
    await close_client(client)
    return url


@pytest.fixture
def open_gateway(database_url: str, redis_url: str, tmp_path: Path) -> OpenGateway:
    """Opens gateways in this process, on the test's database, impatient enough for tests.

    They run as the application's role, which owns nothing.

    Takes settings by section, like ``dispatch={"timeout_ms": 500}``.
    """

    def opened(**sections: dict[str, Any]) -> Gateway:
        settings: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "security": SECURITY,
            "http": {"port": 0, "drain_ms": 0},
            "dispatch": {"idle_ms": 20, "retry_first_ms": 50, "hold_ms": 50},
            "tracking": {"first_ms": 20, "last_ms": 1000, "idle_ms": 20},
        }
        for name, values in sections.items():
            settings[name] = settings.get(name, {}) | values
        return Gateway(load_settings(**settings), as_application(database_url), redis_url)

    return opened


@pytest.fixture
def capture() -> Iterator[LogCapture]:
    """Everything that a gateway in this process logs as an error."""
    before, found = structlog.get_config(), LogCapture()
    level = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(processors=[found], wrapper_class=level)
    yield found
    structlog.configure(**before)


async def eventually(
    condition: Callable[[], Any], *, seconds: float = 20, every: float = 0.02
) -> Any:
    """Wait until ``condition`` (a coroutine function) gives something true, and return that."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(every)
    return found
