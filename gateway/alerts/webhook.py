"""Webhook: a signed message to a receiver, as Standard Webhooks has it."""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass

from gateway.alerts.outlet import NotDelivered
from gateway.alerts.wording import body
from providers.calls import Call, Encoding, Method
from providers.errors import ProviderError
from providers.limits import Purpose
from providers.transport import Answer, Transport
from schemas.alert_settings import WebhookSettings
from schemas.alerts import Channel, Message


@dataclass(frozen=True, slots=True)
class _Signed(Call):
    """A request whose body is sent byte for byte as it was signed."""

    signed: bytes = b""

    @property
    def body(self) -> bytes:
        """What is sent after the headers."""
        return self.signed


class Webhook:
    """One receiver. Whoever gets a message twice knows it by its ``webhook-id``."""

    channel = Channel.WEBHOOK

    def __init__(self, settings: WebhookSettings, transport: Transport) -> None:
        if settings.url is None or settings.secret is None:
            raise ValueError("the webhook is not set up")
        self._url = settings.url.get_secret_value()
        self._secret = settings.secret.get_secret_value()
        self._transport = transport

    async def send(self, message: Message) -> str:
        """Send once. Raises ``NotDelivered``."""
        payload, at = body(message), int(time.time())
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(self._secret, message.id, at, payload),
        }
        call = _Signed(self._url, {}, encoding=Encoding.JSON, headers=headers, signed=payload)
        answer = await self._ask(call, Purpose.ACT)
        if 200 <= answer.status < 300:
            return f"HTTP {answer.status}"
        raise NotDelivered(f"HTTP {answer.status}", answer.exchange.retry_after)

    async def check(self) -> str:
        """Whether somebody answers there at all. Raises ``NotDelivered``."""
        answer = await self._ask(Call(self._url, {}, Method.GET, Encoding.QUERY), Purpose.READ)
        return f"answers (HTTP {answer.status} to a GET)"

    async def _ask(self, call: Call, purpose: Purpose) -> Answer:
        try:
            return await self._transport.send(call, purpose, self._secret)
        except ProviderError as error:
            raise NotDelivered(str(error)) from None


def sign(secret: str, message_id: str, at: int, payload: bytes) -> str:
    """The ``webhook-signature`` of a body, sent at a Unix time in seconds."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([message_id.encode(), str(at).encode(), payload])
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
