"""The panel API v2 as the gateway serves it: the closed list of errors, and the values it reads.

Shapes and spellings are the reference's; numbers are ASCII digits and nothing else, because
``int()`` also takes signs, underscores and the digits of every script.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.money import Micros, format_amount
from schemas.orders import ToldOrder


class PanelError(Exception):
    """A refusal in words that clients know; the message is the answer's ``error`` text."""


INCORRECT_REQUEST = "Incorrect request"
INVALID_KEY = "Invalid API key"
INCORRECT_SERVICE = "Incorrect service ID"
INCORRECT_ORDER = "Incorrect order ID"
BAD_LINK = "Bad link"
NOT_ENOUGH_FUNDS = "Not enough funds on balance"
ACTIVE_LINK = "You have active order with this link. Please wait until order being completed."
PRICE_CHANGED = "Price changed"
EXTERNAL_ID_USED = "external_id was used with other parameters"
REFILL_DISABLED = "Refill is disabled for this service"
REFILL_TOO_EARLY = "The order was completed or refill was requested less than 24 hours ago"
REFILL_OPEN = "The refill task is not completed for this order"
REFILL_OVER = "Refill days are over"
REFILL_NOT_FOUND = "Refill not found"
NOT_COMPLETED = "The order is not completed"
CANCEL_UNAVAILABLE = "Cancel is not available"
CANCEL_REQUESTED = "Cancel already requested"
SUSPENDED = "Your account has been suspended."
ORDERING_PAUSED = "Ordering is paused"
IP_NOT_ALLOWED = "IP not allowed"
TOO_MANY_REQUESTS = "Too many requests"
TOO_LARGE = "Request too large"
PLAIN_HTTP = "Use https"
TEMPORARY = (
    "Temporary error. Repeat with the same external_id, or check its status before sending again"
)


def below_minimum(minimum: int) -> str:
    """The text for a quantity that is too small."""
    return f"Quantity less than minimal {minimum}"


def above_maximum(maximum: int) -> str:
    """The text for a quantity that is too large."""
    return f"Quantity more than maximum {maximum}"


def not_a_multiple(step: int) -> str:
    """The text for a quantity that does not fit the service's step."""
    return f"Quantity must be a multiple of {step}"


def incorrect(parameter: str) -> str:
    """The text for a type's parameter that is present but bad."""
    return f"Incorrect {parameter}"


#: At most this many ids in one call, as the reference documents.
MAX_IDS = 100

_EXTERNAL_ID = re.compile(r"[\x20-\x7e]{1,255}")
_ABSENT = frozenset({"", "undefined", "null", "nan", "none"})
_ID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_BLANKS = " \t"
_SEPARATORS = re.compile(r"[,;\s]+")
_MAX_INT = 2**31 - 1


def given(text: str | None) -> str | None:
    """The text of an optional or numeric parameter, or None where a client means "nothing"."""
    if text is None:
        return None
    trimmed = text.strip(_BLANKS)
    return None if trimmed.lower() in _ABSENT else trimmed


def read_id(text: str) -> int | None:
    """A positive id below 2³¹ in plain digits, or None."""
    if _ID.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= _MAX_INT else None


def read_external_id(texts: Iterable[str]) -> str | None:
    """A client's own name for an order: 1 to 255 printable ASCII characters, or None.

    Clients name it in several places; what they say there must agree.

    Raises:
        PanelError: ``Incorrect request``.
    """
    names = {name for text in texts if (name := given(text)) is not None}
    if not names:
        return None
    name = names.pop()
    if names or _EXTERNAL_ID.fullmatch(name) is None:
        raise PanelError(INCORRECT_REQUEST)
    return name


@dataclass(frozen=True, slots=True)
class AskedIds:
    """The ids of one call, in order and without repetition, as the client wrote them."""

    tokens: tuple[str, ...]
    many: bool


def read_ids(singular: Iterable[str], plural: Iterable[str]) -> AskedIds:
    """Read ids from both spellings of the parameter.

    One id through the singular asks for the single shape; any other number, or the plural, for
    the shape of many.

    Raises:
        PanelError: ``Incorrect request`` for more than a hundred.
    """
    many = [token for text in plural for token in _SEPARATORS.split(text) if token]
    single = [token for text in singular for token in _SEPARATORS.split(text) if token]
    tokens = tuple(dict.fromkeys(single + many))
    if len(tokens) > MAX_IDS:
        raise PanelError(INCORRECT_REQUEST)
    return AskedIds(tokens, many=bool(many) or len(tokens) > 1)


def encode(value: object) -> bytes:
    """Compact JSON, the only form in which answers leave."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def error_answer(text: str) -> bytes:
    """``{"error": text}``."""
    return encode({"error": text})


def add_answer(order_id: int) -> bytes:
    """The answer to an accepted order."""
    return b'{"order":%d}' % order_id


def balance_answer(amount: Micros, currency: str) -> bytes:
    """The answer to ``balance``."""
    return f'{{"balance":"{format_amount(amount)}","currency":"{currency}"}}'.encode()


def status_text(order: ToldOrder) -> str:
    """One order's status object, keys in the reference's order. Its values need no escaping."""
    return (
        f'{{"charge":"{format_amount(order.wire_charge)}",'
        f'"start_count":"{order.start_count or 0}",'
        f'"status":"{order.wire_status}",'
        f'"remains":"{order.wire_remains}",'
        f'"currency":"{order.currency}"}}'
    )


def statuses_answer(asked: AskedIds, found: dict[str, ToldOrder]) -> bytes:
    """The answer to ``status`` for many ids: each keyed by its id as the client wrote it."""
    wrong = json.dumps({"error": INCORRECT_ORDER}, separators=(",", ":"))
    rows = (
        f"{json.dumps(token)}:{status_text(found[token]) if token in found else wrong}"
        for token in asked.tokens
    )
    return ("{" + ",".join(rows) + "}").encode()
