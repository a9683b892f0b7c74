"""The ledger: balances, and the immutable movements that they are the sum of."""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.money import Micros


@dataclass(slots=True)
class Balance:
    """One reseller's stored balance: ``entries`` is the position of the last ledger entry."""

    reseller_id: int
    amount: Micros
    floor: Micros
    entries: int


class Entry(NamedTuple):
    """One movement ``source ▸ destination``; ``reseller`` stands for the reseller itself.

    A row of the database's type ``new_entry``: the same columns in the same order.
    """

    reseller_id: int
    position: int
    source: str
    destination: str
    amount: Micros
    cause: str
    order_id: int | None
    step: int
    balance_after: Micros
    note: str | None
