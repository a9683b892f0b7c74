"""A line from intake to a sandbox panel, for tests that drive it step by step."""

from collections.abc import AsyncIterator

import pytest

from tests.orders.line import Line, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World


@pytest.fixture
async def line(world: World, sandbox: SandboxProcess) -> AsyncIterator[Line]:
    """Reseller with 1,000.00, the sandbox as a provider, and nothing that runs by itself."""
    async with open_line(world, sandbox) as opened:
        yield opened
