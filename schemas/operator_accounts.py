"""Operators' accounts, the sessions in which they work, and what a session tells them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.operators import Role


class Stage(StrEnum):
    """How far an operator has come in signing in."""

    CODE = "code"  # the password was right, the one-time code is still to come
    ENROL = "enrol"  # a second factor has to be set up first
    FULL = "full"  # signed in


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator's account. ``has_password`` is false until the welcome link was used.

    ``code_step`` is the time step of the last one-time code that was accepted, None where no second
    factor is set up.
    """

    id: int
    name: str
    role: Role
    enabled: bool
    has_password: bool
    code_step: int | None
    created_at: datetime
    signed_in_at: datetime | None

    @property
    def has_second_factor(self) -> bool:
        """Whether signing in takes a one-time code."""
        return self.code_step is not None


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which an operator has signed in, or begun to.

    ``notice`` is what the next page tells once, like what became of a form.
    """

    id: int
    operator: Operator
    stage: Stage
    created_at: datetime
    seen_at: datetime
    address: str | None
    agent: str
    notice: "Notice | None" = None


class Tone(StrEnum):
    """How a notice looks."""

    GOOD = "good"
    INFO = "info"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for an operator."""

    tone: Tone
    text: str
