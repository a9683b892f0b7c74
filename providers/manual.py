"""Delivery by people: no upstream. Orders are placed at once, and an operator reports on them."""

import secrets
from collections.abc import Sequence
from typing import ClassVar

from providers.account import BadAccount, ProviderAccount
from providers.batches import MOST_IDS
from providers.errors import Unavailable
from providers.transport import Transport
from schemas.upstream import (
    Exchange,
    OrderListing,
    Placed,
    Submission,
    UpstreamBalance,
    UpstreamCatalogue,
    UpstreamRefill,
    UpstreamRequest,
    UpstreamStatus,
)

_HERE = Exchange(sent=False, elapsed_ms=0)


class Manual:
    """An account at nobody's: what it is asked for is noted, and done by hand.

    Raises:
        BadAccount: on construction, for any option.
    """

    kind: ClassVar[str] = "manual"
    by_hand: ClassVar[bool] = True
    status_batch: int = MOST_IDS
    lists_orders: bool = False

    def __init__(self, account: ProviderAccount, transport: Transport) -> None:
        if account.options:
            names = ", ".join(sorted(account.options))
            raise BadAccount(f"provider {account.name}: there is no option {names}")

    async def services(self) -> UpstreamCatalogue:
        """There is none. Raises ``Unavailable``."""
        raise Unavailable(
            "it is worked by hand and has no catalogue: use `smm-gateway service add`"
        )

    async def balance(self) -> UpstreamBalance:
        """There is none. Raises ``Unavailable``."""
        raise Unavailable("it is worked by hand and has no balance")

    async def add(self, order: Submission) -> Placed:
        """Take an order, under an id that nothing else has."""
        return Placed(f"m-{secrets.token_hex(8)}", _HERE)

    async def status(self, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        """Nothing is known here: an operator reports on orders."""
        return {}

    async def orders(self, limit: int) -> OrderListing:
        """There is no list. Raises ``Unavailable``."""
        raise Unavailable("it is worked by hand and keeps no list of orders")

    async def refill(self, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        """Refused: nobody is told."""
        return dict.fromkeys(ids, UpstreamRequest(taken=False, error="Refill is not available"))

    async def refill_status(self, ids: Sequence[str]) -> dict[str, UpstreamRefill]:
        """Nothing is known here."""
        return {}

    async def cancel(self, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        """Refused: nobody is told."""
        return dict.fromkeys(ids, UpstreamRequest(taken=False, error="Cancel is not available"))
