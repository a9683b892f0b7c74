"""The parameters of an order: the kinds there are, and how the text of each is read.

A reader gives the canonical text, which is what is stored and sent: numbers without blanks or
``.0``, lists one value a line, dates as d/m/Y.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from schemas.links import clean_link, read_link
from schemas.money import BadAmount, parse_amount
from schemas.panel_v2 import BAD_LINK, PanelError, given, incorrect

#: The largest whole number that any parameter takes.
MAX_INT = 2**31 - 1


class ParameterKind(StrEnum):
    """How the text of a parameter is read."""

    LINK = "link"  # an http(s) link or a user name
    QUANTITY = "quantity"  # a whole number, kept as the order's quantity
    LINES = "lines"  # one value a line, never split further; empty lines do not count
    LIST = "list"  # the same, but a single line may separate its values by commas
    TEXT = "text"  # one line
    NUMBER = "number"  # a whole number between least and most
    CHOICE = "choice"  # a whole number out of a closed list
    DATE = "date"  # a day
    AMOUNT = "amount"  # money


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a closed list, and what it stands for, where that needs words."""

    value: int
    about: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter by its name on the wire.

    ``least`` and ``most`` bound a number; ``most`` is also the largest number of lines of a list
    and of characters of a text, 0 where only the service's limits count. ``default`` is stored
    and sent where a client leaves the parameter out. ``needed_when`` names another parameter and
    the value of it with which this one is required. ``cleaned`` values are links, or may be.
    ``about`` is what the API docs say. ``many`` says whether it holds several values.
    """

    name: str
    kind: ParameterKind
    about: str
    example: str
    required: bool = True
    least: int = 0
    most: int = 0
    choices: tuple[Choice, ...] = ()
    default: str | None = None
    needed_when: tuple[str, str] | None = None
    cleaned: bool = False
    aliases: tuple[str, ...] = ()
    many: bool = field(init=False)
    read: "Reader" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once here and not for every order: to look up by an enumeration's member is slow.
        object.__setattr__(self, "many", self.kind in _LISTS)
        object.__setattr__(self, "read", _READERS[self.kind])


#: Gives the canonical text of a value, or None where there is none.
Reader: TypeAlias = Callable[[Parameter, str], str | None]


_BLANKS = " \t"
_WHOLE = re.compile(r"(0|[1-9][0-9]{0,39})(?:\.0)?", re.ASCII)
_BY_DAY_OR_MONTH = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", re.ASCII)
_BY_YEAR = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})", re.ASCII)
#: Neither NUL nor half a pair fits into the database, where it would take a whole group down.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_NOT_IN_A_LINE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read_whole(text: str) -> int | None:
    """ASCII digits with outer blanks, a single trailing ``.0`` tolerated; else None."""
    match = _WHOLE.fullmatch(text.strip(_BLANKS))
    return int(match[1]) if match else None


def read_day(text: str) -> date | None:
    """A day as d/m/Y or Y-m-d, or as m/d/Y where that is the only way to read it; else None."""
    if match := _BY_DAY_OR_MONTH.fullmatch(text):
        day, month, year = (int(part) for part in match.groups())
        if month > 12:
            day, month = month, day
    elif match := _BY_YEAR.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
    else:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def write_day(day: date) -> str:
    """A day as the reference writes it: d/m/Y."""
    return f"{day.day:02d}/{day.month:02d}/{day.year:04d}"


def read_lines(text: str) -> list[str]:
    r"""The non-empty lines of a list, trimmed.

    Lines end with ``\r\n``, ``\n`` or ``\r``; the two characters backslash and n count as a line
    end only where there is no real one, for clients that quote badly.
    """
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" not in unified:
        unified = unified.replace("\\n", "\n")
    return [line for line in (raw.strip() for raw in unified.split("\n")) if line]


def read_list(text: str) -> list[str]:
    """The values of a list: its lines, or what commas separate in a single line."""
    lines = read_lines(text)
    if len(lines) != 1:
        return lines
    return [value for value in (part.strip() for part in lines[0].split(",")) if value]


def read_value(parameter: Parameter, text: str, *, keep_links: bool = False) -> str | None:
    """The canonical text of a parameter's value; None where a client means that there is none.

    ``keep_links`` leaves in links what only tracks.

    Raises:
        PanelError: ``Bad link`` or ``Incorrect <parameter>`` when it is present but bad.
    """
    value = parameter.read(parameter, text)
    if value is not None and parameter.cleaned and not keep_links:
        if not parameter.many:
            return clean_link(value)
        return "\n".join(clean_link(line) for line in value.split("\n"))
    return value


def pieces_in(parameter: Parameter, value: str) -> int:
    """What a canonical value counts: its lines, or the number that it is."""
    return value.count("\n") + 1 if parameter.many else int(value)


def _bad(parameter: Parameter) -> PanelError:
    return PanelError(BAD_LINK if parameter.name == "link" else incorrect(parameter.name))


def _link(parameter: Parameter, text: str) -> str | None:
    if not parameter.required and given(text) is None:
        return None
    try:
        return read_link(text)
    except PanelError:
        raise _bad(parameter) from None


def _quantity(parameter: Parameter, text: str) -> str | None:
    wanted = given(text)
    if wanted is None:
        return None
    number = read_whole(wanted)
    if number is None:
        raise _bad(parameter)
    return str(number)


def _number(parameter: Parameter, text: str) -> str | None:
    value = _quantity(parameter, text)
    if value is not None and not parameter.least <= int(value) <= parameter.most:
        raise _bad(parameter)
    return value


def _choice(parameter: Parameter, text: str) -> str | None:
    value = _quantity(parameter, text)
    if value is not None and int(value) not in {choice.value for choice in parameter.choices}:
        raise _bad(parameter)
    return value


def _lines(parameter: Parameter, text: str) -> str | None:
    if _UNSTORABLE.search(text):
        raise _bad(parameter)
    read = read_lines if parameter.kind is ParameterKind.LINES else read_list
    values = read(text)
    if parameter.most and len(values) > parameter.most:
        raise _bad(parameter)
    return "\n".join(values) or None


def _text(parameter: Parameter, text: str) -> str | None:
    value = text.strip(_BLANKS) if parameter.required else given(text)
    if not value:
        return None
    if len(value) > parameter.most or _NOT_IN_A_LINE.search(value):
        raise _bad(parameter)
    return value


def _date(parameter: Parameter, text: str) -> str | None:
    wanted = given(text)
    if wanted is None:
        return None
    day = read_day(wanted)
    if day is None:
        raise _bad(parameter)
    return write_day(day)


def _amount(parameter: Parameter, text: str) -> str | None:
    wanted = given(text)
    if wanted is None:
        return None
    try:
        parse_amount(wanted)
    except BadAmount:
        raise _bad(parameter) from None
    return wanted


_LISTS = (ParameterKind.LINES, ParameterKind.LIST)
_READERS: dict[ParameterKind, Reader] = {
    ParameterKind.LINK: _link,
    ParameterKind.QUANTITY: _quantity,
    ParameterKind.LINES: _lines,
    ParameterKind.LIST: _lines,
    ParameterKind.TEXT: _text,
    ParameterKind.NUMBER: _number,
    ParameterKind.CHOICE: _choice,
    ParameterKind.DATE: _date,
    ParameterKind.AMOUNT: _amount,
}
