"""Long work that is done in the background."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.operators import Warrant


class JobKind(StrEnum):
    """What can be given to the background."""

    BULK = "bulk"  # one deed on many orders
    IMPORT = "import"  # what a provider offers
    MARKUP = "markup"  # a price rule for each of many services
    REPORT = "report"  # a report as a sheet


class JobState(StrEnum):
    """Where a job is. A running one whose worker has died is taken up by another."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as it stands in a list: on whose word, and how far it is.

    ``total`` is None while that is not known. ``tries`` counts the workers that began it, and
    ``barren`` those in a row that came no further than the ones before.
    """

    id: int
    kind: JobKind
    warrant: Warrant
    state: JobState
    done: int
    total: int | None
    error: str | None
    tries: int
    barren: int
    at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Job(JobLine):
    """A job with what is asked for, and what came of it; both may be long."""

    arguments: Mapping[str, Any]
    result: Mapping[str, Any] | None
