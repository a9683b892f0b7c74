"""Reports: sums of the ledger by time and by what was sold, who delivers it, or who bought it."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from schemas.money import Micros


class Period(StrEnum):
    """What one row of a report spans."""

    DAY = "day"
    MONTH = "month"


class Dimension(StrEnum):
    """What a report is broken down by; ``total`` is not at all."""

    TOTAL = "total"
    SERVICE = "service"
    PROVIDER = "provider"
    RESELLER = "reseller"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """Sums over the movements of one period.

    ``begins`` is its first day. ``key`` is a service's id or a name; None is what belongs to orders
    whose range was detached, and the total. ``orders`` and ``quantity`` are what was charged for,
    ``cost`` is what we expect to pay for what was kept of it: a refund takes its share of the cost.
    """

    begins: date
    key: str | None
    orders: int
    quantity: int
    revenue: Micros
    refunds: Micros
    cost: Micros

    @property
    def margin(self) -> Micros:
        """What is left."""
        return self.revenue - self.refunds - self.cost
