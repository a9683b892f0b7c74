"""What a provider account holds, and how that came about."""

from dataclasses import dataclass
from datetime import datetime

from schemas.money import Micros


@dataclass(frozen=True, slots=True)
class FundsRow:
    """One reading of a balance, in the account's currency.

    ``change`` is since the reading before. ``expected`` is what the orders that were placed between
    them were to cost, in the house currency; None where there was no reading before.
    """

    at: datetime
    amount: Micros
    change: Micros | None
    expected: Micros | None


@dataclass(frozen=True, slots=True)
class Funds:
    """An account's readings, the newest first, and for how many ``hours`` its balance lasts at the
    pace of the last day; None where nothing is spent, or too little is known.
    """

    provider: str
    currency: str
    balance: Micros | None
    hours: float | None
    rows: tuple[FundsRow, ...]
