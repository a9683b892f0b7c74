"""The command line on the test's own database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.embedded import Addresses
from tests.application_role import as_application
from tests.cli.command import Command, Forks
from tests.world import MASTER_KEYS, PEPPER


@pytest.fixture(scope="package")
async def forks() -> AsyncIterator[Forks]:
    """What the commands of this folder are children of."""
    async with Forks() as started:
        yield started


@pytest.fixture
def command(engines: Addresses, database_url: str, tmp_path: Path, forks: Forks) -> Command:
    """``smm-gateway`` with database, Valkey and pepper from the environment."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Command(
        folder,
        {
            "SMM_DATABASE__URL": as_application(database_url),
            "SMM_DATABASE__MIGRATION_URL": database_url,
            "SMM_REDIS__URL": engines.redis_url,
            "SMM_SECURITY__PEPPER": PEPPER,
            "SMM_SECURITY__MASTER_KEYS": MASTER_KEYS,
        },
        forks,
    )
