"""Looking for orders: what may be asked for, and where a page of the answer begins."""

from dataclasses import dataclass
from datetime import datetime

from schemas.orders import OrderState


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are meant; what is None does not narrow it.

    ``reseller``, ``provider`` and ``external_id`` are texts as operators know them. Times are those
    at which an order was accepted: from ``since`` on, before ``until``.
    """

    order_ids: tuple[int, ...] | None = None
    external_id: str | None = None
    upstream_id: str | None = None
    link: str | None = None
    reseller: str | None = None
    provider: str | None = None
    service_id: int | None = None
    states: tuple[OrderState, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def narrow(self) -> bool:
        """Whether anything is asked for at all."""
        return self != OrderFilter()
