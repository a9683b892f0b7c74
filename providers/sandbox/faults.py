"""Misbehaviour as data: the names of the faults, and whether each still does what was asked.

A fault is written ``name`` or ``name:argument``. It comes with an order's link
(``https://example.com/p?sandbox=partial:30&sandbox=slow-after:200``) or from a rule that the
control address was given.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit


class BadFault(ValueError):
    """The text names no fault, or its argument is not one that the fault takes."""


class Manner(StrEnum):
    """What a fault changes."""

    # how the call is answered
    ERROR = "error"  # the panel's error shape, with the argument as its text
    PAGE = "page"  # a body of the fault's own
    RESET = "reset"
    CLOSE = "close"
    HANG = "hang"
    TRUNCATE = "truncate"  # a Content-Length that the body does not keep
    CUT = "cut"  # a sound answer whose JSON stops early
    PREFIX = "prefix"  # text before the JSON
    PADDING = "padding"  # that many blanks before the JSON
    REDIRECT = "redirect"
    NOISE = "noise"  # bytes that are not HTTP
    ORDER_ID = "order_id"  # the order id in another shape
    SHAPE = "shape"  # status rows in another shape
    # when it is answered
    DELAY = "delay"
    # what becomes of the order
    PLAN = "plan"
    CELL = "cell"  # one value of a status row
    UNIQUE_LINK = "unique_link"


#: Faults of these manners decide the whole answer; a call has at most one.
_ANSWERS = frozenset(Manner) - {Manner.DELAY, Manner.PLAN, Manner.CELL, Manner.UNIQUE_LINK}

_ANY = ".*"
_DIGITS = "[0-9]{1,9}"
_HTML = "<!DOCTYPE html><html><head><title>Just a moment</title></head><body></body></html>"
_MAINTENANCE = "<html><head><title>Maintenance</title></head><body>Back soon</body></html>"
ACTIVE_LINK = "You have active order with this link. Please wait until order being completed."


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a fault does. ``acts``: is the call carried out (an order accepted) before the answer?

    ``argument`` is the default; ``takes`` the pattern of arguments, empty where none is taken.
    """

    acts: bool
    manner: Manner
    argument: str = ""
    takes: str = ""
    status: int = 200
    content_type: str = "application/json"


def _page(acts: bool, status: int, body: str, content_type: str = "text/html") -> Behaviour:
    return Behaviour(acts, Manner.PAGE, body, _ANY, status, content_type)


FAULTS: dict[str, Behaviour] = {
    "refuse": Behaviour(False, Manner.ERROR, "Bad link", _ANY),
    **{
        f"refuse-{status}": Behaviour(False, Manner.ERROR, "Bad link", _ANY, status)
        for status in (400, 401, 403, 404, 405, 422)
    },
    "bad-key": Behaviour(False, Manner.ERROR, "Invalid API key"),
    "no-funds": Behaviour(False, Manner.ERROR, "Not enough funds on balance"),
    "active-link": Behaviour(False, Manner.ERROR, ACTIVE_LINK),
    # the argument is the Retry-After in seconds
    "too-many": Behaviour(False, Manner.PAGE, "1", _DIGITS, 429),
    "reset-before": Behaviour(False, Manner.RESET),
    "reset-after": Behaviour(True, Manner.RESET),
    "close-before": Behaviour(False, Manner.CLOSE),
    "close-after": Behaviour(True, Manner.CLOSE),
    "hang-before": Behaviour(False, Manner.HANG),
    "hang-after": Behaviour(True, Manner.HANG),
    **{
        f"{status}-{when}": _page(acts, status, _HTML)
        for status in (500, 502, 503, 504)
        for when, acts in (("before", False), ("after", True))
    },
    "html-before": _page(False, 200, _HTML),
    "html-after": _page(True, 200, _HTML),
    "maintenance": _page(False, 503, _MAINTENANCE),
    "empty-before": _page(False, 200, "", "application/json"),
    "empty-after": _page(True, 200, "", "application/json"),
    # any body at all
    "body-before": _page(False, 200, "[]", "application/json"),
    "body-after": _page(True, 200, "[]", "application/json"),
    # the argument is how many bytes of the answer leave
    "truncated-before": Behaviour(False, Manner.TRUNCATE, "11", _DIGITS),
    "truncated-after": Behaviour(True, Manner.TRUNCATE, "11", _DIGITS),
    "cut-before": Behaviour(False, Manner.CUT, "11", _DIGITS),
    "cut-after": Behaviour(True, Manner.CUT, "11", _DIGITS),
    "notice": Behaviour(True, Manner.PREFIX, "<br />\nNotice: Undefined index: runs\n", _ANY),
    # the argument is the status
    "redirect-before": Behaviour(False, Manner.REDIRECT, "307", "30[12378]"),
    "redirect-after": Behaviour(True, Manner.REDIRECT, "307", "30[12378]"),
    "noise-before": Behaviour(False, Manner.NOISE),
    "noise-after": Behaviour(True, Manner.NOISE),
    # the argument is the number of bytes
    "huge-after": Behaviour(True, Manner.PADDING, "1000000", _DIGITS),
    "id": Behaviour(
        True, Manner.ORDER_ID, "text", "text|float|half|bool|null|zero|negative|list|none|error"
    ),
    "shape": Behaviour(True, Manner.SHAPE, "missing", "missing|list|list-with-ids|unknown"),
    # the argument is milliseconds
    "slow-before": Behaviour(True, Manner.DELAY, "500", _DIGITS),
    "slow-after": Behaviour(True, Manner.DELAY, "500", _DIGITS),
    # the argument is the percentage that stays undelivered
    "partial": Behaviour(True, Manner.PLAN, "50", "[0-9]{1,2}|100"),
    "cancel": Behaviour(True, Manner.PLAN),
    "stall": Behaviour(True, Manner.PLAN),
    # the argument replaces the value in every status answer; after "=" it is JSON
    **{
        name: Behaviour(True, Manner.CELL, "", _ANY)
        for name in ("status", "remains", "start_count", "charge", "currency")
    },
    "unique-link": Behaviour(True, Manner.UNIQUE_LINK),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault with its argument."""

    name: str
    argument: str

    @property
    def behaviour(self) -> Behaviour:
        """Its row in the table."""
        return FAULTS[self.name]

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}"


def parse_fault(text: str) -> Fault:
    """Read ``name`` or ``name:argument``.

    Raises:
        BadFault: when there is no such fault, or it does not take that argument.
    """
    name, colon, argument = text.partition(":")
    behaviour = FAULTS.get(name)
    if behaviour is None:
        raise BadFault(f"there is no fault {name!r}")
    if not colon or argument == behaviour.argument:
        return Fault(name, behaviour.argument)
    if not behaviour.takes or not re.fullmatch(behaviour.takes, argument, re.DOTALL):
        raise BadFault(f"fault {name!r} does not take {argument!r}")
    return Fault(name, argument)


def faults_of_link(link: str) -> tuple[Fault, ...]:
    """The faults that a link asks for. Raises ``BadFault``."""
    if "sandbox=" not in link:
        return ()
    try:
        query = urlsplit(link).query
    except ValueError:
        return ()
    return tuple(parse_fault(text) for text in parse_qs(query).get("sandbox", ()))


def answer_fault(faults: Sequence[Fault]) -> Fault | None:
    """The fault that decides how the call is answered: the first of its sort."""
    return next((fault for fault in faults if fault.behaviour.manner in _ANSWERS), None)


def delay_ms(faults: Sequence[Fault], name: str) -> int:
    """The milliseconds that delays called ``name`` add up to."""
    return sum(int(fault.argument) for fault in faults if fault.name == name)


def lasting(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults that stay with an order for as long as it lives."""
    return tuple(f for f in faults if f.behaviour.manner in (Manner.PLAN, Manner.CELL))


@dataclass(slots=True)
class Rule:
    """Faults for calls of one action: the next ``times`` (None: no end) that the share falls on.

    Each of those calls gets one of ``faults``, drawn like the share from ``chance``.
    """

    action: str
    faults: tuple[Fault, ...]
    times: int | None = 1
    share: float = 1.0
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def draw(self) -> Fault | None:
        """The fault for one more call, if it gets one."""
        if self.times == 0 or (self.share < 1 and self.chance.random() >= self.share):
            return None
        if self.times is not None:
            self.times -= 1
        return self.chance.choice(self.faults)


class FaultRules:
    """The rules in force, oldest first."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def draw(self, action: str) -> tuple[Fault, ...]:
        """The faults for one call of ``action``: each rule for it may add one."""
        drawn = [rule.draw() for rule in self.rules if rule.action == action]
        self.rules = [rule for rule in self.rules if rule.times != 0]
        return tuple(fault for fault in drawn if fault is not None)
