"""The twins of all channels."""

from collections.abc import AsyncIterator

import pytest

from tests.alerts.twins import Twin, mail_twin, telegram_twin, webhook_twin


@pytest.fixture
async def bot() -> AsyncIterator[Twin]:
    """A Bot API."""
    async with telegram_twin() as twin:
        yield twin


@pytest.fixture
async def receiver() -> AsyncIterator[Twin]:
    """A receiver of signed messages."""
    async with webhook_twin() as twin:
        yield twin


@pytest.fixture
async def post() -> AsyncIterator[Twin]:
    """A mail server."""
    async with mail_twin() as twin:
        yield twin
