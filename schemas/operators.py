"""Operators: who works on the console and the command line, and what they did."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
class Warrant:
    """On whose word something is done, why, and by which request, which acts once."""

    actor: Actor
    reason: str | None = None
    request: str | None = None

    def parts(self, number: int) -> "list[Warrant]":
        """For what is done to so many things at once: the request belongs to the first of them."""
        return [self if not place else replace(self, request=None) for place in range(number)]

    def act(
        self,
        action: str,
        subject: Subject,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> Act:
        """What is done on this word."""
        changes = {"before": before or {}, "after": after or {}}
        return Act(self.actor, action, subject, self.reason, self.request, **changes)


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs between two states of the same thing, as it was and as it is."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


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
