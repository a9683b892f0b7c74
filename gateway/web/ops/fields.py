"""What is typed into fields, as values. Pure; what cannot be read is a ``UserError``."""

import re
from datetime import date
from decimal import Decimal

from gateway.errors import UserError
from gateway.web.ops.forms import Form
from schemas.money import BadAmount, Micros, parse_amount, parse_rate

_PERCENT = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)\s?%?", re.ASCII)
_LARGEST_NUMBER = 2**31 - 1
_MOST_DIGITS = len(str(_LARGEST_NUMBER))


def amount_of(form: Form, name: str, label: str, *, signed: bool = False) -> Micros:
    """An amount of money, 0 or more; below 0 too where it is ``signed``."""
    text = form.text(name).replace("\N{MINUS SIGN}", "-")
    below = signed and text.startswith("-")
    try:
        amount = parse_amount(text[1:] if below else text)
    except BadAmount as error:
        raise UserError(f"{label}: {error}") from None
    return -amount if below else amount


def rate_of(form: Form, name: str, label: str) -> Micros | None:
    """A price per 1,000; None where nothing is typed."""
    text = form.text(name)
    if not text:
        return None
    try:
        return parse_rate(text)
    except BadAmount as error:
        raise UserError(f"{label}: {error}") from None


def percent_of(form: Form, name: str, label: str) -> Decimal | None:
    """A percentage like ``25`` or ``12.5 %``; None where nothing is typed."""
    text = form.text(name)
    if not text:
        return None
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise UserError(f"{label}: write a percentage like 25 or 12.5")
    return Decimal(match[1])


def number_of(form: Form, name: str, label: str) -> int | None:
    """A whole number of 0 or more; None where nothing is typed."""
    text = form.text(name)
    if not text:
        return None
    number = whole_number(text)
    if number is None:
        raise UserError(f"{label}: write a whole number")
    return number


def whole_number(text: str) -> int | None:
    """A whole number of 0 or more that the database has room for; None for another text."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    number = int(text)
    return number if number <= _LARGEST_NUMBER else None


def numbers_of(form: Form, name: str) -> list[int]:
    """The ids of checked boxes, or ids with commas between; what is no id is left out."""
    texts = [part.strip() for value in form.every(name) for part in value.split(",")]
    found = {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 10}
    return sorted(found)


def day_of(form: Form, name: str, label: str, default: date) -> date:
    """A day like ``2027-01-31``."""
    text = form.text(name)
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise UserError(f"{label}: write a day like 2027-01-31") from None
