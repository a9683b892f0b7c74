"""What an order of each service type must carry, as the sandbox reads it.

The table is wider than the types that the gateway sells: an upstream knows types that we do not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_NUMBER = re.compile(r"[0-9]{1,10}")
_LINK = re.compile(r"\S{1,2048}")


class Refused(Exception):
    """The request is refused; the message is the panel's error text."""


class Field(StrEnum):
    """How the text of a parameter is read."""

    LINK = "link"
    NUMBER = "number"
    LINES = "lines"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Form:
    """The required parameters of a type.

    ``counted`` names the parameter that gives the quantity; None is one package, whose rate is
    the price of the order.
    """

    fields: Mapping[str, Field]
    counted: str | None


def _form(counted: str | None, **fields: Field) -> Form:
    return Form(fields, counted)


_L, _N, _LINES, _TEXT = Field.LINK, Field.NUMBER, Field.LINES, Field.TEXT

FORMS: dict[str, Form] = {
    "Default": _form("quantity", link=_L, quantity=_N),
    "Package": _form(None, link=_L),
    "Custom Comments": _form("comments", link=_L, comments=_LINES),
    "Custom Comments Package": _form(None, link=_L, comments=_LINES),
    "Mentions": _form("quantity", link=_L, quantity=_N, usernames=_LINES),
    "Mentions with Hashtags": _form(
        "quantity", link=_L, quantity=_N, usernames=_LINES, hashtags=_LINES
    ),
    "Mentions Custom List": _form("usernames", link=_L, usernames=_LINES),
    "Mentions Hashtag": _form("quantity", link=_L, quantity=_N, hashtag=_TEXT),
    "Mentions User Followers": _form("quantity", link=_L, quantity=_N, username=_TEXT),
    "Mentions Media Likers": _form("quantity", link=_L, quantity=_N, media=_L),
    "Comment Likes": _form("quantity", link=_L, quantity=_N, username=_TEXT),
    "Comment Replies": _form("comments", link=_L, username=_TEXT, comments=_LINES),
    "Poll": _form("quantity", link=_L, quantity=_N, answer_number=_N),
    "Invites from Groups": _form("quantity", link=_L, quantity=_N, groups=_LINES),
    "SEO": _form("quantity", link=_L, quantity=_N, keywords=_LINES),
    "Subscriptions": _form("max", username=_TEXT, min=_N, max=_N, delay=_N),
    "Web Traffic": _form(
        "quantity", link=_L, quantity=_N, country=_TEXT, device=_N, type_of_traffic=_N
    ),
}

_ALLOWED: dict[str, frozenset[int]] = {
    "device": frozenset(range(1, 6)),
    "type_of_traffic": frozenset(range(1, 4)),
    "delay": frozenset(
        {0, 5, 10, 15, 20, 30, 40, 50, *range(60, 241, 30), *range(300, 601, 60), 270}
    ),
}
#: What some values of ``type_of_traffic`` require besides.
_TRAFFIC_NEEDS = {1: "google_keyword", 2: "referring_url"}


def lines_of(text: str) -> list[str]:
    """The values of a list parameter: one a line, without blank lines."""
    return [line.strip() for line in re.split("\r\n|\r|\n", text) if line.strip()]


def whole_number(text: str, refusal: str) -> int:
    """Read ASCII digits. Raises ``Refused`` with ``refusal`` for anything else."""
    if not _NUMBER.fullmatch(text):
        raise Refused(refusal)
    return int(text)


def count_of(kind: str, parameters: Mapping[str, str]) -> int:
    """Check an order of type ``kind`` and count its pieces, before any drip-feed.

    Raises:
        Refused: when a parameter is missing or bad.
    """
    form = FORMS[kind]
    for name, field in form.fields.items():
        _check(name, field, parameters.get(name, ""))
    _check_together(kind, parameters)
    if form.counted is None:
        return 1
    text = parameters[form.counted]
    if form.fields[form.counted] is Field.LINES:
        return len(lines_of(text))
    return int(text)


def _check(name: str, field: Field, text: str) -> None:
    if not text:
        raise Refused("Incorrect request")
    if field is Field.LINK and not _LINK.fullmatch(text):
        raise Refused("Bad link")
    if field is Field.LINES and not lines_of(text):
        raise Refused(f"Incorrect {name}")
    if field is Field.NUMBER:
        number = whole_number(text, f"Incorrect {name}")
        if name in _ALLOWED and number not in _ALLOWED[name]:
            raise Refused(f"Incorrect {name}")


def _check_together(kind: str, parameters: Mapping[str, str]) -> None:
    if kind == "Web Traffic":
        needed = _TRAFFIC_NEEDS.get(int(parameters["type_of_traffic"]))
        if needed is not None and not parameters.get(needed):
            raise Refused("Incorrect request")
    if kind == "Subscriptions" and int(parameters["min"]) > int(parameters["max"]):
        raise Refused("Incorrect min")


def repeats_of(kind: str, parameters: Mapping[str, str]) -> int:
    """How many times the counted pieces are delivered: drip-feed runs, or a subscription's posts.

    Raises:
        Refused: when a number is bad, or only one half of a drip-feed is given.
    """
    if kind == "Subscriptions":
        counts = [
            whole_number(parameters.get(name) or "0", f"Incorrect {name}")
            for name in ("posts", "old_posts")
        ]
        return max(1, sum(counts))
    runs, interval = parameters.get("runs", ""), parameters.get("interval", "")
    if not runs and not interval:
        return 1
    if not interval:
        raise Refused("Interval time is required")
    if not runs:
        raise Refused("Runs is required")
    whole_number(interval, "Incorrect interval")
    return max(1, whole_number(runs, "Incorrect runs"))
