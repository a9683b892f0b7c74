"""The provider contract: what an adapter to an upstream must be able to say.

One instance is one account at one upstream. Method names are the panel API's action names. An
adapter is stateless and only translates: it never retries, caches, logs or decides.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from schemas.upstream import (
    OrderListing,
    Placed,
    Submission,
    UpstreamBalance,
    UpstreamCatalogue,
    UpstreamRefill,
    UpstreamRequest,
    UpstreamStatus,
)


class Provider(Protocol):
    """One account at one upstream.

    Every method raises ``Rejected`` or ``Unavailable``; ``add`` also ``Ambiguous``, for whatever
    proves neither that the order exists nor that it does not.
    """

    kind: ClassVar[str]

    @property
    def status_batch(self) -> int:
        """How many orders one request may ask for, within 1..100; 1 where it knows no lists."""
        ...

    async def services(self) -> UpstreamCatalogue:
        """The catalogue. An answer that is no catalogue raises; it is never an empty one."""
        ...

    async def balance(self) -> UpstreamBalance:
        """What the account holds."""
        ...

    async def add(self, order: Submission) -> Placed:
        """Submit one order, once. The caller has committed the attempt before."""
        ...

    async def status(self, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
        """What the upstream says of up to 100 orders; ids without an answer are left out."""
        ...

    @property
    def lists_orders(self) -> bool:
        """Whether ``orders`` shows every recent order of the account, whatever became of it."""
        ...

    async def orders(self, limit: int) -> OrderListing:
        """The newest orders of the account, up to ``limit``; ours and those of other programs.

        Only where ``lists_orders``. An answer that is no list raises; it is never an empty one.
        """
        ...

    async def refill(self, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        """Ask for refills; the answer per order id."""
        ...

    async def refill_status(self, ids: Sequence[str]) -> dict[str, UpstreamRefill]:
        """The state of refills, by refill id."""
        ...

    async def cancel(self, ids: Sequence[str]) -> dict[str, UpstreamRequest]:
        """Ask for cancellations. ``taken`` is a request taken, not an order canceled."""
        ...
