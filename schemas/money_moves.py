"""Money that operators move by their word."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.money import Micros


class MoneyCause(StrEnum):
    """Why, as the ledger has it."""

    TOPUP = "topup"  # it came in outside
    CORRECTION = "correction"  # a mistake is put right, up or down


class ConfirmationState(StrEnum):
    """How an amount stands that needs two operators."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class MoneyMove:
    """An amount for a reseller; below 0 it is taken."""

    reseller: str
    cause: MoneyCause
    amount: Micros


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An amount that one operator asked for, and what another one said to it."""

    id: int
    at: datetime
    reseller: str
    cause: MoneyCause
    amount: Micros
    reason: str
    asked_by: str
    state: ConfirmationState
    decided_by: str | None
    decided_at: datetime | None

    @property
    def move(self) -> MoneyMove:
        """What is moved."""
        return MoneyMove(self.reseller, self.cause, self.amount)
