"""Mail: a message to each recipient over the operator's own mail server."""

from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from gateway.alerts.outlet import NotDelivered, PartlyDelivered
from gateway.alerts.wording import text, title
from gateway.loopback import is_loopback
from schemas.alert_settings import EmailSettings
from schemas.alerts import Channel, Message

log = structlog.get_logger()

#: Answers by which a server asks for another try.
_LATER = range(400, 500)
_PORTS = {"smtp": 587, "smtps": 465}


class Mail:
    """One mail server. A password goes only over TLS, or to this machine itself."""

    channel = Channel.EMAIL

    def __init__(self, settings: EmailSettings, timeout_seconds: float) -> None:
        if settings.url is None or settings.sender is None:
            raise ValueError("mail is not set up")
        parts = urlsplit(settings.url.get_secret_value())
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = parts.scheme == "smtps"
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender, self._recipients = settings.sender, settings.recipients
        self._timeout = timeout_seconds

    async def send(self, message: Message) -> str:
        """Send once.

        Raises ``NotDelivered`` when no recipient was accepted, and ``PartlyDelivered`` when some
        were, and others were refused for the moment.
        """
        rest = message.recipients
        to = self._recipients if rest is None else [r for r in self._recipients if r in rest]
        if not to:
            return "nobody is left who should get it"
        try:
            async with self._client() as client:
                answers, said = await client.send_message(
                    self._letter(message), sender=self._sender, recipients=to
                )
            refused = {recipient: answer.code for recipient, answer in answers.items()}
        except aiosmtplib.SMTPRecipientsRefused as error:
            if rest is None:
                raise NotDelivered(_reason(error)) from None
            said, refused = "", {each.recipient: each.code for each in error.recipients}
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(_reason(error)) from None
        for recipient, code in refused.items():
            log.error("alert.recipient_refused", recipient=recipient, code=code)
        left = [recipient for recipient, code in refused.items() if code in _LATER]
        if left:
            codes = ", ".join(f"{recipient}: {refused[recipient]}" for recipient in left)
            raise PartlyDelivered(f"refused for the moment ({codes})", left)
        return said.strip()[:200]

    async def check(self) -> str:
        """Whether the server takes our name and password. Raises ``NotDelivered``."""
        try:
            async with self._client() as client:
                return (await client.noop()).message.strip()[:200]
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(_reason(error)) from None

    def _client(self) -> aiosmtplib.SMTP:
        safe_without = self._password is None or is_loopback(self._host)
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._tls,
            start_tls=False if self._tls else (None if safe_without else True),
            timeout=self._timeout,
        )

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = self._sender
        letter["To"] = ", ".join(self._recipients)
        letter["Subject"] = title(message)
        letter["Date"] = format_datetime(message.at)
        letter["Message-ID"] = f"<{message.id}@{self._sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text(message))
        return letter


def _reason(error: Exception) -> str:
    """The error in words. A server may repeat what it was told, so its text is kept short."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            codes = ", ".join(f"{each.recipient}: {each.code}" for each in error.recipients)
            return f"no recipient was accepted ({codes})"
        case aiosmtplib.SMTPAuthenticationError():
            return f"the server refuses user and password ({error.code})"
        case aiosmtplib.SMTPResponseException():
            return f"{type(error).__name__}: {error.code} {' '.join(error.message.split())[:200]}"
        case aiosmtplib.SMTPException() if "STARTTLS" in str(error):
            return "the server offers no STARTTLS, and a password goes only over TLS"
    return type(error).__name__
