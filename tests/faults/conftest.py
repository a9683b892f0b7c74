"""Engines for the suites that break them, once for all such tests."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.engines import KillableEngines


@pytest.fixture(scope="session")
async def killable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KillableEngines]:
    """PostgreSQL and Valkey that a test may kill: it leaves them running."""
    engines = KillableEngines(tmp_path_factory.mktemp("killable"))
    async with engines:
        yield engines
    engines.erase()
