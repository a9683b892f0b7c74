"""What clients log of a run: every call before it leaves, and again once its outcome is known.

The log is on disk too, so that a run whose generator was killed can still be judged: a call that
has no outcome in it is one of which nobody knows.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeAlias

from schemas.money import Micros

#: Seconds on the machine's monotonic clock.
Moment: TypeAlias = float


class Outcome(StrEnum):
    """What a client knows after a call."""

    OK = "ok"  # it was carried out: an order must exist, once
    FAIL = "fail"  # it was refused, or nothing was sent: no order may exist
    UNKNOWN = "unknown"  # no answer: an order may exist, once


@dataclass(slots=True)
class Add:
    """One order that a client wants, however often it asks: None while it is on the wire.

    ``began`` is when it was first asked for, ``ended`` when the last answer came.
    """

    reseller_id: int
    link: str
    quantity: int
    outcome: Outcome | None = None
    order_id: int | None = None
    said: str = ""
    name: str | None = None
    price: Micros = 0
    began: Moment = 0
    ended: Moment = 0


@dataclass(slots=True)
class Sight:
    """What a client was told of an order by ``status``, single or many."""

    reseller_id: int
    order_id: int
    word: str
    charge: Micros
    remains: int
    began: Moment
    ended: Moment


@dataclass(slots=True)
class BalanceRead:
    """What a client was told of its balance."""

    reseller_id: int
    amount: Micros
    began: Moment
    ended: Moment


@dataclass(slots=True)
class Request:
    """One call to cancel or refill an order; ``given`` is the id of the refill."""

    reseller_id: int
    action: str
    order_id: int
    outcome: Outcome | None = None
    said: str = ""
    given: str = ""
    began: Moment = 0
    ended: Moment = 0


Entry: TypeAlias = Add | Sight | BalanceRead | Request
_KINDS: dict[str, type[Entry]] = {
    kind.__name__: kind for kind in (Add, Sight, BalanceRead, Request)
}


@dataclass(slots=True)
class Journal:
    """The log of one run, in memory and, where a path is given, on disk."""

    path: Path | None = None
    adds: list[Add] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    balances: list[BalanceRead] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def begin(self, entry: Entry) -> None:
        """Log a call that is about to leave, or, of a read, what came of it."""
        match entry:
            case Add():
                self.adds.append(entry)
            case Sight():
                self.sights.append(entry)
            case BalanceRead():
                self.balances.append(entry)
            case Request():
                self.requests.append(entry)
        self.note(entry)

    def note(self, entry: Entry) -> None:
        """Log a call as it is now."""
        if self.path is not None:
            line = {"kind": type(entry).__name__} | asdict(entry)
            with self.path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The journal of a run that has ended, or was killed."""
        journal = cls()
        latest: dict[tuple[object, ...], Entry] = {}
        for entry in _entries(path):
            latest[_identity(entry)] = entry
        for entry in latest.values():
            if isinstance(entry, Add | Request) and entry.outcome is None:
                entry.outcome = Outcome.UNKNOWN
            journal.begin(entry)
        return journal


def _identity(entry: Entry) -> tuple[object, ...]:
    """What tells one call from another over its lines; twins begin at different moments."""
    if isinstance(entry, Add):
        return Add, entry.link, entry.began
    if isinstance(entry, Request):
        return Request, entry.action, entry.order_id, entry.began
    return type(entry), *(getattr(entry, part.name) for part in fields(entry))


def _entries(path: Path) -> Iterator[Entry]:
    lines = path.read_text(encoding="utf-8").split("\n")
    for line in lines[:-1]:  # what follows the last end of line was torn
        values: dict[str, Any] = json.loads(line)
        kind = _KINDS[values.pop("kind")]
        if values.get("outcome") is not None:
            values["outcome"] = Outcome(values["outcome"])
        yield kind(**values)
