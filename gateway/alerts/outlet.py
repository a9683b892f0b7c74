"""The contract of a channel: one message, one try, and what came back."""

from collections.abc import Sequence
from typing import Protocol

from schemas.alerts import Channel, Message


class NotDelivered(Exception):
    """A channel did not take a message; the text is for operators, free of secrets.

    ``retry_after`` is in seconds, where the other side asked for a pause.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class PartlyDelivered(NotDelivered):
    """A message was taken for some; ``left`` are those who may get it later."""

    def __init__(self, reason: str, left: Sequence[str]) -> None:
        super().__init__(reason)
        self.left = left


class Outlet(Protocol):
    """A way to operators."""

    @property
    def channel(self) -> Channel:
        """Which one it is."""

    async def send(self, message: Message) -> str:
        """Send once, to those who have not got it; what came back, in words.

        Raises ``NotDelivered``, or ``PartlyDelivered``.
        """

    async def check(self) -> str:
        """Find out whether it would work, without a message; what came back.

        Raises ``NotDelivered``.
        """
