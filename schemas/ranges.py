"""Ranges of order ids: the partitions of orders, attempts and events."""

from dataclasses import dataclass
from datetime import datetime

#: Tables that are partitioned by order id; a range is one partition of each.
RANGED_TABLES = ("orders", "attempt", "order_event")


#: Ids in a range, as ``make_order_ranges`` of the database has it too.
RANGE_WIDTH = 5_000_000


def tables_of(lower: int) -> tuple[str, ...]:
    """The names of the tables of the range that begins at ``lower``, like ``orders_0``."""
    return tuple(f"{base}_{lower // RANGE_WIDTH}" for base in RANGED_TABLES)


@dataclass(frozen=True, slots=True)
class OrderRange:
    """The order ids from ``lower`` up to, and without, ``upper``."""

    lower: int
    upper: int


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """A range as operators look at it; ``size`` in bytes. Detached ones count what was noted."""

    lower: int
    upper: int
    orders: int
    last_end: datetime | None
    size: int
    detached_at: datetime | None = None
