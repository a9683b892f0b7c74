"""Operators: who works on the console and the command line, and what they did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What an operator may do; each may do all that the ones before it may."""

    VIEWER = "viewer"
    SUPPORT = "support"
    MANAGER = "manager"
    OWNER = "owner"

    def covers(self, other: "Role") -> bool:
        """Whether this role may do all that the other may."""
        roles = list(Role)
        return roles.index(self) >= roles.index(other)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something; ``address`` is the client's where there is one.

    Who has the command line has the database too, and so is an owner.
    """

    name: str
    role: Role
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What something is done to, like ``order 17`` or ``provider main``."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Act:
    """Something that an operator does.

    ``action`` is a dotted name, like ``reseller.credited``. ``before`` and ``after`` are JSON, what
    changed by its name; never a secret. A ``request`` is a random text that acts once: the repeat
    of a form that was sent twice changes nothing.
    """

    actor: Actor
    action: str
    subject: Subject
    reason: str | None = None
    request: str | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """An act as the log has it."""

    id: int
    at: datetime
    actor: str
    role: Role
    address: str | None
    action: str
    subject: Subject
    reason: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
