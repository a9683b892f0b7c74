"""Settings of alerts: the channels by which operators are told of trouble."""

import base64
import binascii
import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.alerts import Channel

_MAIL_ADDRESS = r"^[!-~]+@[!-~]+$"
_LOOPBACK = r"http://(?:127\.0\.0\.1|\[::1\]|localhost)(?::\d{1,5})?"
#: Plain http would show what is sent to the networks between, so it is for this machine alone.
_WEB_ADDRESS = re.compile(rf"(?:https://[^/\s?#]+|{_LOOPBACK})(?:[/?]\S*)?", re.ASCII)
_ROOT_ADDRESS = re.compile(rf"https://[^/\s?#]+|{_LOOPBACK}", re.ASCII)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TelegramSettings(_Section):
    """A bot of Telegram's, and the chat that it writes to; ``url`` is the Bot API's server."""

    token: SecretStr | None = None
    chat: str | None = Field(default=None, min_length=1)
    url: str = "https://api.telegram.org"

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if _ROOT_ADDRESS.fullmatch(url) is None:
            raise ValueError("url is no https:// and a host (http:// only on 127.0.0.1)")
        return url

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.token is None) != (self.chat is None):
            raise ValueError("token and chat go together")
        return self


class EmailSettings(_Section):
    """Mail. ``url`` is ``smtp://user:password@host:587`` (STARTTLS) or ``smtps://…:465`` (TLS)."""

    url: SecretStr | None = None
    sender: str | None = Field(default=None, pattern=_MAIL_ADDRESS)
    recipients: list[Annotated[str, Field(pattern=_MAIL_ADDRESS)]] = []

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = {self.url is not None, self.sender is not None, bool(self.recipients)}
        if len(given) > 1:
            raise ValueError("url, sender and recipients go together")
        if self.url is not None:
            try:
                parts = urlsplit(self.url.get_secret_value())
                fine = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
            except ValueError:
                fine = False
            if not fine:
                raise ValueError("url is no smtp://user:password@host:587 (smtps:// for TLS)")
        return self


class WebhookSettings(_Section):
    """A receiver of signed messages, as Standard Webhooks has them; ``secret`` is ``whsec_…``."""

    url: SecretStr | None = None
    secret: SecretStr | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.url is None) != (self.secret is None):
            raise ValueError("url and secret go together")
        if self.url is not None and not _WEB_ADDRESS.fullmatch(self.url.get_secret_value()):
            raise ValueError("url is no address with https:// (http:// only on 127.0.0.1)")
        if self.secret is not None and not _is_signing_key(self.secret.get_secret_value()):
            raise ValueError("secret is not whsec_ and 24 to 64 bytes in base64")
        return self


def _is_signing_key(text: str) -> bool:
    """Whether a text is a key as Standard Webhooks writes them."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith("whsec_") and 24 <= len(key) <= 64


class AlertSettings(_Section):
    """Telling operators of trouble, by every channel that is set. Times in milliseconds.

    One of all processes looks every ``every_ms``. What lasts is told again every ``repeat_ms``;
    0 is never.
    """

    every_ms: int = Field(default=30_000, ge=100)
    repeat_ms: int = Field(default=86_400_000, ge=0)
    telegram: TelegramSettings = TelegramSettings()
    email: EmailSettings = EmailSettings()
    webhook: WebhookSettings = WebhookSettings()

    @property
    def channels(self) -> list[Channel]:
        """The channels that are set."""
        given = {
            Channel.TELEGRAM: self.telegram.token,
            Channel.EMAIL: self.email.url,
            Channel.WEBHOOK: self.webhook.url,
        }
        return [channel for channel, secret in given.items() if secret is not None]
