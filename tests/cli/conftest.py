"""The command line on the test's own database."""

from pathlib import Path

import pytest

from gateway.embedded import Addresses
from tests.cli.command import Command
from tests.world import PEPPER


@pytest.fixture
def command(engines: Addresses, database_url: str, tmp_path: Path) -> Command:
    """``smm-gateway`` with database, Valkey and pepper from the environment."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Command(
        folder,
        {
            "SMM_DATABASE__URL": database_url,
            "SMM_REDIS__URL": engines.redis_url,
            "SMM_SECURITY__PEPPER": PEPPER,
        },
    )
