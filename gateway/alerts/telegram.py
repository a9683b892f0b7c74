"""Telegram: a bot writes to a chat."""

import json
from typing import Any

from gateway.alerts.outlet import NotDelivered
from gateway.alerts.wording import text
from providers.calls import Call, Encoding
from providers.errors import ProviderError
from providers.limits import Purpose
from providers.transport import Transport
from schemas.alert_settings import TelegramSettings
from schemas.alerts import Channel, Message


class Telegram:
    """One bot and one chat, over the Bot API (https://core.telegram.org/bots/api)."""

    channel = Channel.TELEGRAM

    def __init__(self, settings: TelegramSettings, transport: Transport) -> None:
        if settings.token is None or settings.chat is None:
            raise ValueError("Telegram is not set up")
        self._token = settings.token.get_secret_value()
        self._chat = settings.chat
        self._url = settings.url
        self._transport = transport

    async def send(self, message: Message) -> str:
        """Send once. Raises ``NotDelivered``."""
        found = await self._ask("sendMessage", chat_id=self._chat, text=text(message))
        return f"accepted as message {found.get('message_id')}"

    async def check(self) -> str:
        """Whether the bot may see the chat. Raises ``NotDelivered``."""
        found = await self._ask("getChat", chat_id=self._chat)
        return f"the bot sees the {found.get('type', 'chat')}"

    async def _ask(self, method: str, **fields: str) -> dict[str, Any]:
        call = Call(f"{self._url}/bot{self._token}/{method}", fields, encoding=Encoding.JSON)
        try:
            answer = await self._transport.send(call, Purpose.ACT, self._token)
        except ProviderError as error:
            raise NotDelivered(str(error)) from None
        try:
            said = json.loads(answer.text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise NotDelivered(f"HTTP {answer.status} without JSON", answer.exchange.retry_after)
        if answer.status == 200 and said.get("ok") is True:
            result = said.get("result")
            return result if isinstance(result, dict) else {}
        raise NotDelivered(
            f"HTTP {answer.status}: {str(said.get('description', 'no reason given'))[:200]}",
            _pause(said, answer.exchange.retry_after),
        )


def _pause(said: dict[str, Any], header: int | None) -> float | None:
    parameters = said.get("parameters")
    told = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return float(told) if isinstance(told, int) and told >= 0 else header
