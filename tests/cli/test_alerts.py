"""``smm-gateway alert``."""

from collections.abc import AsyncIterator

import pytest

from gateway.alerts.watching import look
from gateway.store.connection import Pool
from schemas.config import SettingsModel
from tests.alerts.twins import CHAT, SECRET, TOKEN, Twin, telegram_twin, webhook_twin
from tests.cli.command import Command


@pytest.fixture
async def bot() -> AsyncIterator[Twin]:
    async with telegram_twin() as twin:
        yield twin


@pytest.fixture
async def receiver() -> AsyncIterator[Twin]:
    async with webhook_twin() as twin:
        yield twin


def _channels(bot: Twin, receiver: Twin) -> dict[str, str]:
    return {
        "alerts__telegram__token": TOKEN,
        "alerts__telegram__chat": CHAT,
        "alerts__telegram__url": bot.url,
        "alerts__webhook__url": receiver.url,
        "alerts__webhook__secret": SECRET,
    }


async def test_a_test_message_goes_by_each_channel_and_what_came_back_is_said(
    command: Command, bot: Twin, receiver: Twin
) -> None:
    done = await command.run("alert", "test", **_channels(bot, receiver))
    assert done.code == 0, done
    assert "telegram  yes        accepted as message 1" in done.out
    assert "webhook   yes        HTTP 204" in done.out
    assert len(bot.got) == len(receiver.got) == 1


async def test_one_channel_that_fails_is_named_and_the_exit_code_is_1(
    command: Command, bot: Twin, receiver: Twin
) -> None:
    bot.failure = "500"
    done = await command.run("alert", "test", **_channels(bot, receiver))
    assert done.code == 1, done
    assert "telegram  no         HTTP 500" in done.out
    assert len(receiver.got) == 1
    assert TOKEN not in done.out + done.error


async def test_without_a_channel_it_says_what_to_set(command: Command) -> None:
    assert "alerts.telegram" in (await command.run("alert", "test")).complaint


async def test_open_alerts_are_listed_with_what_to_do(command: Command, pool: Pool) -> None:
    assert await command.json("alert", "list") == []
    await pool.execute("update audit_watch set broken = 2, ran_at = now()")
    await look(pool, SettingsModel())
    [row] = await command.json("alert", "list")
    assert (row["alert"], row["command"]) == ("audit-failure", "smm-gateway audit")
    assert row["runbook"] == "docs/runbook.md#audit-failure"
    assert row["told_at"] is not None
