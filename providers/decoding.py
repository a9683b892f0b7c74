"""Reading what panels call JSON, and the single values in it. Nothing here guesses.

A value that cannot be read is ``None``; only a whole answer that cannot be read raises. No number
ever becomes a float: a literal that is no finite number becomes a decimal NaN, which no reader
takes, so that one bad row costs one row and not the answer.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from schemas.money import MAX_AMOUNT, UNIT

Json: TypeAlias = bool | int | Decimal | str | list["Json"] | dict[str, "Json"] | None

LARGEST_WHOLE = 2**63 - 1

_AROUND = "\ufeff\0 \t\r\n"
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
#: Halves of surrogate pairs cannot be stored; marks of direction can disguise a name.
_DROPPED = re.compile("[\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
#: No JSON number of sense is longer; longer ones are not worth the time to convert.
_LONGEST_NUMBER = 64


class Unreadable(ValueError):
    """An answer that does not hold what was asked for. The message is for operators."""


def decode(text: str) -> Json:
    """The JSON in an answer, whatever its content type says.

    A byte order mark and blanks around it are dropped, and so are notices that a script printed
    before it.

    Raises:
        Unreadable: when there is none.
    """
    body = text.strip(_AROUND)
    start = re.search(r"[{\[]", body)
    candidates = [body]
    if start and start.start() > 0:
        candidates.append(body[start.start() :])
    for candidate in candidates:
        try:
            return _parsed(candidate)
        except (ValueError, RecursionError):
            continue
    raise Unreadable(_what_it_is(body))


def _parsed(text: str) -> Json:
    value: Json = json.loads(
        text, parse_float=_decimal, parse_int=_whole, parse_constant=lambda _: Decimal("NaN")
    )
    return value


def _decimal(literal: str) -> Decimal:
    if len(literal) > _LONGEST_NUMBER:
        return Decimal("NaN")
    try:
        return Decimal(literal)
    except InvalidOperation:
        return Decimal("NaN")


def _whole(literal: str) -> int | Decimal:
    return int(literal) if len(literal) <= _LONGEST_NUMBER else Decimal("NaN")


def _what_it_is(body: str) -> str:
    if not body:
        return "an empty answer"
    title = _TITLE.search(body[:8_192])
    if title:
        return f"a page titled {clean(title[1], 100)!r} instead of JSON"
    return "an answer that is not JSON"


def clean(text: str, limit: int) -> str:
    """``text`` on one line, without control characters, at most ``limit`` characters."""
    return _BLANKS.sub(" ", _DROPPED.sub("", text)).strip()[:limit].rstrip()


def read_text(value: Json, limit: int) -> str:
    """A text or a whole number as cleaned text; empty for everything else."""
    match value:
        case str():
            return clean(value, limit)
        case bool():
            return ""
        case int():
            return clean(str(value), limit)
    return ""


def read_amount(value: Json) -> Decimal | None:
    """An amount of money or a rate, which may be negative; None when it is none.

    Currency signs, blanks and thousands separators are tolerated. A decimal comma is not, because
    it cannot be told from a separator.
    """
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        value = "".join(c for c in value if unicodedata.category(c) not in {"Sc", "Zs"})
    number = _read_number(value)
    if number is None or abs(number) > MAX_AMOUNT // UNIT:
        return None
    return number


def read_whole(value: Json) -> int | None:
    """A whole number within ±(2⁶³-1), also from ``"1,000"`` or ``10.0``; else None."""
    number = _read_number(value)
    if number is None or abs(number) > LARGEST_WHOLE or number != number.to_integral_value():
        return None
    return int(number)


def _read_number(value: Json) -> Decimal | None:
    """A finite number of a size that arithmetic is safe with."""
    match value:
        case bool():
            return None
        case int():
            number = Decimal(value)
        case Decimal():
            number = value
        case str():
            number = _decimal(_digits_of(value.strip()))
        case _:
            return None
    if not number.is_finite():
        return None
    exponent = number.as_tuple().exponent
    sane = isinstance(exponent, int) and exponent >= -40 and number.adjusted() <= 18
    return number if sane else None


def _digits_of(text: str) -> str:
    """``text`` where it is a number, without thousands separators; else a word for none."""
    if _GROUPED.fullmatch(text):
        return text.replace(",", "")
    return text if _NUMBER.fullmatch(text) else "NaN"


def is_true(value: Json) -> bool:
    """Whether a flag is set, in any of the spellings that panels have for it."""
    match value:
        case bool():
            return value
        case int():
            return value == 1
        case str():
            return value.strip().casefold() in _TRUE_WORDS
    return False


def folded(row: Mapping[str, Json]) -> dict[str, Json]:
    """``row`` with names that ignore case and underscores; the first of equal names stays."""
    fields: dict[str, Json] = {}
    for name, value in row.items():
        fields.setdefault(name.casefold().replace("_", ""), value)
    return fields


def first_of(fields: Mapping[str, Json], *names: str) -> Json:
    """The value of the first of ``names`` that ``fields`` has; None when it has none."""
    for name in names:
        if name in fields:
            return fields[name]
    return None
