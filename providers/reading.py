"""What an answer says before one looks at its action: refusals, order ids, balances."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from providers.decoding import (
    Json,
    Unreadable,
    clean,
    first_of,
    folded,
    is_true,
    read_amount,
    read_text,
    read_whole,
)
from schemas.upstream import UpstreamBalance

_ERROR_NAMES = ("error", "errors")
_MESSAGE_NAMES = ("message", "msg", "errormessage", "description")
_FAILED_WORDS = frozenset({"fail", "failed", "failure", "error", "false"})
_SUCCESS_WORDS = frozenset({"success", "successful", "ok", "accepted", "requested"})
_FALSE_WORDS = frozenset({"false", "0", "no"})
_LONGEST_MESSAGE = 300
_DEEPEST_MESSAGE = 3
_MOST_MESSAGES = 8

#: A digit is required: words like "success" or "null" stand where an id should, and are none.
_ORDER_ID = re.compile(r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_ZERO = re.compile(r"0*", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3,5}", re.ASCII)
_ORDER_NAMES = ("order", "orderid", "id")


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal in an answer: its texts, the telling one first, and the number beside them."""

    texts: tuple[str, ...]
    number: int | None = None

    @property
    def text(self) -> str:
        """The refusal for operators."""
        return self.texts[0] if self.texts else "a refusal without a text"


def find_failure(payload: Json, *, state_expected: bool = False) -> Failure | None:
    """The refusal that ``payload`` is, or None.

    ``state_expected`` says that ``status`` may be the state of an order: "Fail" and "Error" are
    states, unless a message stands beside them.
    """
    if isinstance(payload, str):
        return Failure((clean(payload, _LONGEST_MESSAGE),))
    if not isinstance(payload, dict):
        return None
    fields = folded(payload)
    messages = tuple(_texts_in([fields.get(name) for name in _MESSAGE_NAMES]))
    for name in _ERROR_NAMES:
        error = fields.get(name)
        if error:
            return Failure((*_texts_in(error), *messages), _number_of(fields.get("status")))
    if _is_failed_status(fields.get("status")) and (messages or not state_expected):
        return Failure(messages or (read_text(fields["status"], _LONGEST_MESSAGE),))
    if _is_false(fields, "success") or _is_false(fields, "ok"):
        return Failure(messages)
    return None


def _texts_in(value: Json, depth: int = 0) -> Iterator[str]:
    """Every text in ``value``, outermost first."""
    match value:
        case str() | int() if not isinstance(value, bool):
            text = read_text(value, _LONGEST_MESSAGE)
            if text:
                yield text
        case list() if depth < _DEEPEST_MESSAGE:
            for item in value[:_MOST_MESSAGES]:
                yield from _texts_in(item, depth + 1)
        case dict() if depth < _DEEPEST_MESSAGE:
            told = [value[name] for name in ("message", "error", "code") if name in value]
            for item in told or list(value.values())[:_MOST_MESSAGES]:
                yield from _texts_in(item, depth + 1)


def _number_of(status: Json) -> int | None:
    number = read_whole(status)
    return number if number is not None and 101 <= number <= 115 else None


def _is_failed_status(status: Json) -> bool:
    if isinstance(status, str):
        return status.strip().casefold() in _FAILED_WORDS
    return status is False


def _is_false(fields: Mapping[str, Json], name: str) -> bool:
    value = fields.get(name)
    if isinstance(value, str):
        return value.strip().casefold() in _FALSE_WORDS
    return value is not None and not isinstance(value, list | dict) and not value


class NoOrderId(Enum):
    """Why an answer names no order."""

    ABSENT = "absent"  # no field for it, or null, false, empty, zero
    UNSOUND = "unsound"  # something stands there that is no id, so an order may exist


ABSENT: Final = NoOrderId.ABSENT
UNSOUND: Final = NoOrderId.UNSOUND


def find_order_id(payload: Json) -> str | NoOrderId:
    """The id of the order that an answer to ``add`` names, as text of 1 to 64 characters.

    The first field that exists decides: a panel that sends ``order: 0`` beside an ``id`` means
    something else by the latter.
    """
    if not isinstance(payload, dict):
        return ABSENT
    fields = folded(payload)
    for row in (fields, fields.get("data")):
        if isinstance(row, dict):
            own = folded(row)
            for name in _ORDER_NAMES:
                if name in own:
                    return read_order_id(own[name])
    return ABSENT


def read_order_id(value: Json) -> str | NoOrderId:
    """One value as an order id."""
    match value:
        case None | False | "":
            return ABSENT
        case bool():
            return UNSOUND
        case int() if value >= 0:
            text = str(value)
        case str():
            text = value.strip()
        case _:
            return UNSOUND
    if _ZERO.fullmatch(text):
        return ABSENT
    return text if _ORDER_ID.fullmatch(text) else UNSOUND


def read_balance(payload: Json) -> UpstreamBalance:
    """The balance in an answer; it may be negative, where an upstream lets debts arise.

    Raises:
        Unreadable: when there is none.
    """
    currency = ""
    value = payload
    for _ in range(_DEEPEST_MESSAGE):
        if not isinstance(value, dict):
            break
        fields = folded(value)
        currency = read_currency(fields.get("currency")) or currency
        value = first_of(fields, "balance", "funds", "amount", "data")
    amount = None if value is payload else read_amount(value)
    if amount is None:
        raise Unreadable("an answer without a balance")
    return UpstreamBalance(amount=amount, currency=currency or None)


def read_currency(value: Json) -> str | None:
    """A currency's code in upper case, or None."""
    text = read_text(value, 8).upper()
    return text if _CURRENCY.fullmatch(text) else None


def is_yes(value: Json) -> bool:
    """Whether a panel says that it took a request: a flag, or a word for success."""
    word = value.strip().casefold() if isinstance(value, str) else ""
    return word in _SUCCESS_WORDS or is_true(value)
