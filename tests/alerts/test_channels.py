"""Channels: what a twin of each gets, and what is said when it does not take it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.alerts.channels import open_outlets, trial
from gateway.alerts.outlet import NotDelivered, Outlet
from providers.limits import Timeouts
from schemas.alert_settings import AlertSettings
from schemas.alerts import AlertEvent, AlertKind, Message
from tests.alerts.twins import CHAT, NOWHERE, PASSWORD, RECIPIENT, SECRET, SENDER, TOKEN, Twin

_AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
_MESSAGE = Message(
    "msg_1",
    AlertKind.PROVIDER_DOWN,
    "main",
    AlertEvent.OPEN,
    "main cannot be asked for its balance",
    _AT,
    _AT,
)
_SHORT = Timeouts(connect=0.5, add=1, read=1, services=1)


@asynccontextmanager
async def _outlet(**settings: Any) -> AsyncIterator[Outlet]:
    alerts = AlertSettings.model_validate(settings)
    async with open_outlets(alerts, _SHORT) as [outlet]:
        yield outlet


def _telegram(bot: Twin, **changed: str) -> dict[str, Any]:
    return {"telegram": {"token": TOKEN, "chat": CHAT, "url": bot.url} | changed}


def _mail(post: Twin, *recipients: str, url: str = "") -> dict[str, Any]:
    to = list(recipients) or [RECIPIENT]
    return {"email": {"url": url or post.url, "sender": SENDER, "recipients": to}}


def _webhook(url: str, secret: str = SECRET) -> dict[str, Any]:
    return {"webhook": {"url": url, "secret": secret}}


async def _refusal(settings: dict[str, Any]) -> NotDelivered:
    async with _outlet(**settings) as outlet:
        with pytest.raises(NotDelivered) as refused:
            await outlet.send(_MESSAGE)
    for secret in (TOKEN, SECRET, PASSWORD):
        assert secret not in str(refused.value)
    return refused.value


async def test_telegram_says_what_is_wrong_and_what_to_do(bot: Twin) -> None:
    async with _outlet(**_telegram(bot)) as outlet:
        assert await outlet.check() == "the bot sees the group"
        assert await outlet.send(_MESSAGE) == "accepted as message 1"
    [got] = bot.got
    assert got["chat_id"] == CHAT
    assert "provider-down: main" in got["text"]
    assert "smm-gateway provider list" in got["text"]
    assert "docs/runbook.md#provider-down" in got["text"]


@pytest.mark.parametrize(
    ("failure", "words", "pause"),
    [
        ("500", "HTTP 500 without JSON", None),
        ("429", "Too Many Requests", 33),
        ("silent", "no complete answer", None),
    ],
)
async def test_telegram_that_does_not_take_a_message_says_why(
    bot: Twin, failure: str, words: str, pause: float | None
) -> None:
    bot.failure = failure
    refused = await _refusal(_telegram(bot))
    assert words in str(refused)
    assert refused.retry_after == pause


async def test_telegram_with_a_wrong_token_or_chat_says_so_and_no_token(bot: Twin) -> None:
    wrong = "999:another-bot-token"
    refused = await _refusal(_telegram(bot, token=wrong))
    assert "Unauthorized" in str(refused)
    assert wrong not in str(refused)  # though the answer repeats it
    assert "chat not found" in str(await _refusal(_telegram(bot, chat="7")))
    assert "not sent" in str(await _refusal(_telegram(bot, url=NOWHERE)))


async def test_a_mail_says_what_is_wrong_and_what_to_do(post: Twin) -> None:
    async with _outlet(**_mail(post)) as outlet:
        await outlet.check()
        assert "queued" in await outlet.send(_MESSAGE)
    [got] = post.got
    assert got["to"] == [RECIPIENT]
    assert "Subject: [smm-gateway] ALERT provider-down: main" in got["text"]
    assert "smm-gateway provider list" in got["text"]


async def test_a_mail_that_nobody_may_get_is_not_delivered_and_one_that_somebody_got_is(
    post: Twin,
) -> None:
    assert "nobody@example.com: 550" in str(await _refusal(_mail(post, "nobody@example.com")))
    async with _outlet(**_mail(post, "nobody@example.com", RECIPIENT)) as outlet:
        await outlet.send(_MESSAGE)
    assert len(post.got) == 1


async def test_a_mail_server_that_refuses_or_is_away_says_why(post: Twin) -> None:
    post.failure = "451 4.3.0 try later"
    assert "451 4.3.0 try later" in str(await _refusal(_mail(post)))
    wrong = post.url.replace("a%20mail", "no%20mail")
    assert "refuses user and password" in str(await _refusal(_mail(post, url=wrong)))
    away = "smtp://127.0.0.1:9"
    assert "SMTPConnectError" in str(await _refusal(_mail(post, url=away)))


async def test_a_password_is_not_sent_without_tls_to_another_machine(post: Twin) -> None:
    """The twin has no TLS; 127.1 leads to it too, but is not known to be this machine."""
    port = post.url.rpartition(":")[2]
    refused = await _refusal(_mail(post, url=f"smtp://gateway:secret@127.1:{port}"))
    assert "STARTTLS" in str(refused)
    assert post.asked == 0


async def test_a_webhook_is_signed_so_that_its_receiver_believes_it(receiver: Twin) -> None:
    async with _outlet(**_webhook(receiver.url)) as outlet:
        assert "405" in await outlet.check()
        assert await outlet.send(_MESSAGE) == "HTTP 204"
    [got] = receiver.got
    assert (got["id"], got["type"]) == ("msg_1", "alert.open")
    assert got["data"]["kind"] == "provider-down"
    assert got["data"]["subject"] == "main"


async def test_a_webhook_that_is_not_taken_says_why(receiver: Twin) -> None:
    other = "whsec_" + "A" * 32
    assert str(await _refusal(_webhook(receiver.url, other))) == "HTTP 401"
    receiver.failure = "503"
    refused = await _refusal(_webhook(receiver.url))
    assert (str(refused), refused.retry_after) == ("HTTP 503", 44)
    receiver.failure = "302"
    assert str(await _refusal(_webhook(receiver.url))) == "HTTP 302"
    assert "not sent" in str(await _refusal(_webhook(NOWHERE)))


async def test_a_test_message_says_that_nothing_is_wrong(bot: Twin, receiver: Twin) -> None:
    for settings in (_telegram(bot), _webhook(receiver.url)):
        async with _outlet(**settings) as outlet:
            await outlet.send(trial("msg_2", _AT))
    assert "nothing is wrong" in bot.got[0]["text"]
    assert receiver.got[0]["type"] == "alert.test"


@pytest.mark.parametrize(
    "settings",
    [
        {"telegram": {"token": TOKEN}},
        {"telegram": {"chat": CHAT}},
        {"email": {"url": "smtp://h", "sender": SENDER}},
        {"email": {"url": "http://h", "sender": SENDER, "recipients": [RECIPIENT]}},
        {"email": {"url": "smtp://h", "sender": "no address", "recipients": [RECIPIENT]}},
        {"webhook": {"url": "https://h"}},
        {"webhook": {"url": "https://h", "secret": "short"}},
        {"webhook": {"url": "ftp://h", "secret": SECRET}},
        {"webhook": {"url": "http://hooks.example/a", "secret": SECRET}},
        {"webhook": {"url": "http://127.0.0.1@hooks.example/a", "secret": SECRET}},
        {"webhook": {"url": "http://localhost.example/a", "secret": SECRET}},
        {"telegram": {"token": TOKEN, "chat": CHAT, "url": "http://bots.example"}},
        {"telegram": {"token": TOKEN, "chat": CHAT, "url": "http://127.0.0.1:80@bots.example"}},
        {"telegram": {"token": TOKEN, "chat": CHAT, "url": "https://bots.example/"}},
    ],
)
def test_a_channel_is_set_up_as_a_whole_or_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"go together|is no|is not|pattern"):
        AlertSettings.model_validate(settings)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "[::1]:9"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    webhook = {"url": f"http://{host}/hooks?a=1", "secret": SECRET}
    telegram = {"token": TOKEN, "chat": CHAT, "url": f"http://{host}"}
    settings = AlertSettings.model_validate({"webhook": webhook, "telegram": telegram})
    assert len(settings.channels) == 2
