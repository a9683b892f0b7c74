"""The contract of a channel: one message, one try, and what came back."""

from typing import Protocol

from schemas.alerts import Channel, Message


class NotDelivered(Exception):
    """A channel did not take a message; the text is for operators, free of secrets.

    ``retry_after`` is in seconds, where the other side asked for a pause.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Outlet(Protocol):
    """A way to operators."""

    @property
    def channel(self) -> Channel:
        """Which one it is."""

    async def send(self, message: Message) -> str:
        """Send once; what came back, in words. Raises ``NotDelivered``."""

    async def check(self) -> str:
        """Find out whether it would work, without a message; what came back.

        Raises ``NotDelivered``.
        """
