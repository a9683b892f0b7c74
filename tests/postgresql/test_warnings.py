"""What an operator is told of a database that works, and not as well as it should."""

import logging
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import structlog
from structlog.testing import LogCapture

from gateway.database import warn_of_superuser
from gateway.embedded import Addresses
from gateway.store.connection import Pool, open_pool
from tests.application_role import APPLICATION, superuser_url
from tests.conftest import OpenGateway, eventually


@pytest.fixture
def alerts() -> Iterator[LogCapture]:
    """Everything that is logged as a warning."""
    before = structlog.get_config()
    capture = LogCapture()
    structlog.configure(
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    yield capture
    structlog.configure(**before)


@pytest.fixture
def superuser(engines: Addresses, engines_dir: Path) -> str:
    """The superuser's URL."""
    return superuser_url(engines, engines_dir)


async def test_a_gateway_that_runs_as_a_superuser_warns(
    superuser: str, pool: Pool, alerts: LogCapture
) -> None:
    above = await open_pool(superuser, size=1)
    await warn_of_superuser(pool)
    assert alerts.entries == []
    await warn_of_superuser(above)
    assert [entry["event"] for entry in alerts.entries] == ["database.superuser"]
    await above.close()


async def test_readiness_tells_that_no_standby_confirms_commits(
    superuser: str, open_gateway: OpenGateway
) -> None:
    conn = await asyncpg.connect(superuser, server_settings={"synchronous_commit": "local"})
    try:
        await conn.execute(f"grant pg_read_all_stats to {APPLICATION}")
        # The standby that is named below never comes: nothing here waits for it.
        await conn.execute(f"alter role {APPLICATION} set synchronous_commit = local")
        async with open_gateway() as gateway, aiohttp.ClientSession() as session:

            async def degraded() -> list[str]:
                async with session.get(f"{gateway.internal_url}/readyz") as answer:
                    assert answer.status == 200
                    told: list[str] = (await answer.json())["degraded"]
                    return told

            assert await degraded() == []
            await conn.execute("alter system set synchronous_standby_names = 'nobody'")
            await conn.execute("select pg_reload_conf()")
            told = await eventually(degraded)
            assert told == ["database: no synchronous standby"]
    finally:
        await conn.execute("alter system reset synchronous_standby_names")
        await conn.execute("select pg_reload_conf()")
        await conn.execute(f"alter role {APPLICATION} reset synchronous_commit")
        await conn.execute(f"revoke pg_read_all_stats from {APPLICATION}")
        await conn.close()
