"""What the doctor says: one line for each thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only ``fail`` keeps a deployment from going live."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Line:
    """What was found of one thing; ``cure`` is what to do where that is not ok."""

    check: str
    level: Level
    words: str
    cure: str = ""


def ok(check: str, words: str) -> Line:
    """All is well."""
    return Line(check, Level.OK, words)


def warn(check: str, words: str, cure: str) -> Line:
    """One may go live with it, and should know."""
    return Line(check, Level.WARN, words, cure)


def fail(check: str, words: str, cure: str) -> Line:
    """Not like this."""
    return Line(check, Level.FAIL, words, cure)
