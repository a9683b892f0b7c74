"""What the tests of the readers share."""

from typing import Any

from providers.reading import Failure
from providers.refusals import group_of
from providers.transport import Answer
from schemas.upstream import Exchange, RefusalGroup


def answered(body: str, status: int = 200) -> Answer:
    """A complete answer of an upstream."""
    return Answer(Exchange(sent=True, elapsed_ms=1, status=status, body=body), status, body)


def by_first_text(failure: Failure) -> RefusalGroup | None:
    """The refusal table alone, without an account's options."""
    return group_of(failure.text)


def row(**changes: Any) -> dict[str, Any]:
    """A sound row of a catalogue, with ``changes``."""
    plain = {"service": 1, "name": "n", "type": "Default", "rate": "1", "min": 1, "max": 2}
    return plain | changes
