"""The channels that are set up, and a message to try them with."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from gateway.alerts.mail import Mail
from gateway.alerts.outlet import Outlet
from gateway.alerts.telegram import Telegram
from gateway.alerts.webhook import Webhook
from providers.limits import Timeouts
from providers.transport import Transport
from schemas.alert_settings import AlertSettings
from schemas.alerts import AlertEvent, AlertKind, Channel, Message

#: An operator waits for nothing here, and other messages wait behind a channel that is silent.
_SECONDS = 15.0
_TIMEOUTS = Timeouts(connect=_SECONDS / 2, add=_SECONDS, read=_SECONDS, services=_SECONDS)


@asynccontextmanager
async def open_outlets(
    settings: AlertSettings, timeouts: Timeouts = _TIMEOUTS
) -> AsyncIterator[list[Outlet]]:
    """A way to operators for each channel that is set."""
    async with Transport(timeouts) as transport:
        ways: dict[Channel, Callable[[], Outlet]] = {
            Channel.TELEGRAM: lambda: Telegram(settings.telegram, transport),
            Channel.EMAIL: lambda: Mail(settings.email, timeouts.add),
            Channel.WEBHOOK: lambda: Webhook(settings.webhook, transport),
        }
        yield [ways[channel]() for channel in settings.channels]


def trial(message_id: str, now: datetime) -> Message:
    """A message that says that it is only a test."""
    return Message(
        message_id,
        AlertKind.PROVIDER_DOWN,
        "",
        AlertEvent.TEST,
        "",
        now,
        now,
    )
