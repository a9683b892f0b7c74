"""The three errors of the provider contract. On ``add`` they answer: may an order exist upstream?

    ProviderError
    ├── Rejected      refused in known words      none exists     ▸ by its group
    ├── Unavailable   provably not processed      none exists     ▸ later, or the next route
    └── Ambiguous     everything else             one may exist   ▸ freeze, never resend or refund

Reads (``services``, ``balance``, ``status`` …) create nothing, so they raise only the first two.
"""

from schemas.upstream import Exchange, RefusalGroup


class ProviderError(Exception):
    """An upstream did not do what it was asked. The message is for operators, free of secrets."""

    def __init__(self, message: str, exchange: Exchange | None = None) -> None:
        super().__init__(message)
        self.exchange = exchange


class Rejected(ProviderError):
    """The upstream refused in words that the refusal table knows; nothing was created there."""

    def __init__(self, message: str, group: RefusalGroup, exchange: Exchange | None = None) -> None:
        super().__init__(message, exchange)
        self.group = group


class Unavailable(ProviderError):
    """The request was provably not processed, or a read gave nothing usable."""


class Ambiguous(ProviderError):
    """The upstream may have accepted the order, and nothing proves either."""
