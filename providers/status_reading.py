"""Reading what upstreams say of orders and refills, in all the shapes that panels answer in.

Rows are matched by the id that they carry, never by position: a row on the wrong order moves
money. An id without a row is left out, which means "no news".
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from providers.decoding import (
    LARGEST_WHOLE,
    Json,
    clean,
    first_of,
    folded,
    read_amount,
    read_text,
    read_whole,
)
from providers.reading import find_failure, read_currency, read_order_id
from schemas.upstream import RefillWord, UpstreamRefill, UpstreamStatus, UpstreamWord

LONGEST_WORD = 64
_LONGEST_ERROR = 300

_WORDS: dict[UpstreamWord, tuple[str, ...]] = {
    UpstreamWord.PENDING: ("", "pending", "awaiting", "creating", "new", "queued", "0"),
    UpstreamWord.PROCESSING: ("processing", "pprocessing", "1"),
    UpstreamWord.IN_PROGRESS: ("inprogress", "active", "holding", "running"),
    UpstreamWord.COMPLETED: ("completed", "complete", "done", "2"),
    UpstreamWord.PARTIAL: ("partial", "partiallycompleted", "partialcomplete", "3"),
    UpstreamWord.CANCELED: (
        "canceled",
        "cancelled",
        "cancel",
        "canelled",
        "canscelled",
        "ordercanceled",
        "ordercancelled",
        "refunded",
        "refund",
        "refunds",
        "rejected",
        "4",
        "5",
    ),
    UpstreamWord.FAILED: ("fail", "failed", "error"),
}
#: Words of subscriptions, where a row says that it is one.
_SUBSCRIPTION_WORDS = {
    "paused": UpstreamWord.IN_PROGRESS,
    "expired": UpstreamWord.COMPLETED,
}
_WORD_OF = {spelling: word for word, spellings in _WORDS.items() for spelling in spellings}

_REFILL_WORD_OF: dict[str, RefillWord] = {
    "pending": RefillWord.PENDING,
    "awaiting": RefillWord.PENDING,
    "processing": RefillWord.IN_PROGRESS,
    "inprogress": RefillWord.IN_PROGRESS,
    "completed": RefillWord.COMPLETED,
    "complete": RefillWord.COMPLETED,
    "rejected": RefillWord.REJECTED,
    "canceled": RefillWord.REJECTED,
    "cancelled": RefillWord.REJECTED,
    "error": RefillWord.FAILED,
    "fail": RefillWord.FAILED,
    "failed": RefillWord.FAILED,
}


def bare_word(text: str) -> str:
    """A word as panels' spellings of it are compared: one case, without blanks and dashes."""
    return "".join(c for c in text.casefold() if not c.isspace() and c not in "_-")


def read_word(value: Json, *, own_field: bool = False) -> UpstreamWord | None:
    """An order's state; None for whatever is not known.

    ``own_field`` says that the field names the order's state and nothing else, where "success"
    means completed. In a plain ``status`` it only says that the question was understood.
    """
    if value is None or isinstance(value, bool | list | dict | Decimal):
        return None
    bare = bare_word(str(value))
    if own_field and bare == "success":
        return UpstreamWord.COMPLETED
    return _WORD_OF.get(bare)


def rows_by_id(payload: Json, ids: Sequence[str], *names: str) -> dict[str, Json]:
    """The rows of an answer by the ids that were asked for.

    Accepted are an object keyed by id, rows that carry an id under one of ``names``, and, where
    one id was asked, its row alone or as the only one of a list. A row that carries the id of
    another order belongs to nobody here.
    """
    wanted = set(ids)
    if isinstance(payload, dict):
        keyed = {key.strip(): row for key, row in payload.items() if key.strip() in wanted}
        if keyed:
            return keyed
    rows = payload if isinstance(payload, list) else [payload]
    carried = {_own_id(row, names): row for row in rows}
    found = {order_id: row for order_id, row in carried.items() if order_id in wanted}
    if found or len(ids) != 1 or len(rows) != 1 or "" not in carried:
        return found
    return {ids[0]: rows[0]}


def _own_id(row: Json, names: tuple[str, ...]) -> str:
    if not isinstance(row, dict):
        return ""
    return read_text(first_of(folded(row), *names), LONGEST_WORD)


def read_statuses(payload: Json, ids: Sequence[str]) -> dict[str, UpstreamStatus]:
    """What an answer says of ``ids``; empty when nothing in it can be matched to them."""
    rows = rows_by_id(_unwrapped(payload), ids, "order", "orderid", "id")
    statuses = {order_id: _read_status(row) for order_id, row in rows.items()}
    return {order_id: status for order_id, status in statuses.items() if status}


def _unwrapped(payload: Json) -> Json:
    """The content of a ``data`` envelope, where there is nothing beside it but its own words."""
    if not isinstance(payload, dict):
        return payload
    fields = folded(payload)
    inner = fields.get("data")
    if isinstance(inner, dict | list) and not fields.keys() & {"orderstatus", "remains", "charge"}:
        return inner
    return payload


def _read_status(row: Json) -> UpstreamStatus | None:
    """One order's row; None when it is none."""
    if isinstance(row, str):
        text = clean(row, _LONGEST_ERROR)
        # A number means a state only where it is called one.
        word = None if text.isdecimal() or not text else read_word(text)
        if word:
            return UpstreamStatus(word, raw_word=text[:LONGEST_WORD])
        return UpstreamStatus(None, error=text or "an empty answer")
    if not isinstance(row, dict):
        return None
    failure = find_failure(row, state_expected=True)
    if failure:
        return UpstreamStatus(None, error=failure.text)
    return _read_fields(folded(row))


def _read_fields(fields: Mapping[str, Json]) -> UpstreamStatus | None:
    own_field = "orderstatus" in fields
    raw = fields.get("orderstatus" if own_field else "status")
    start = read_whole(first_of(fields, "startcount", "countstart"))
    charge = read_amount(first_of(fields, "charge", "price"))
    posts = read_whole(fields.get("posts"))
    if not own_field and "status" not in fields:
        return None
    word = read_word(raw, own_field=own_field)
    if word is None and fields.keys() & {"posts", "expiry"}:
        word = _SUBSCRIPTION_WORDS.get(bare_word(str(raw)))
    return UpstreamStatus(
        word=word,
        raw_word=clean(str(raw), LONGEST_WORD) if isinstance(raw, str | int | Decimal) else "",
        start_count=start if start is not None and 0 <= start <= LARGEST_WHOLE else None,
        remains=read_whole(first_of(fields, "remains", "countremain", "remain")),
        charge=charge if charge is not None and charge >= 0 else None,
        currency=read_currency(fields.get("currency")),
        orders=_read_orders(fields.get("orders")),
        posts=posts if posts is not None and posts >= 0 else None,
    )


def _read_orders(value: Json) -> tuple[str, ...]:
    """The orders that a subscription has made, each once."""
    ids = [read_order_id(one) for one in value] if isinstance(value, list) else []
    return tuple(dict.fromkeys(one for one in ids if isinstance(one, str)))


def read_refill_states(payload: Json, ids: Sequence[str]) -> dict[str, UpstreamRefill]:
    """What an answer says of the refills ``ids``; empty when nothing can be matched to them."""
    rows = rows_by_id(_unwrapped(payload), ids, "refill", "refillid", "id")
    states = {refill_id: _read_refill_state(row) for refill_id, row in rows.items()}
    return {refill_id: state for refill_id, state in states.items() if state}


def _read_refill_state(row: Json) -> UpstreamRefill | None:
    status = row
    if isinstance(row, dict):
        failure = find_failure(row, state_expected=True)
        if failure:
            return UpstreamRefill(None, error=failure.text)
        status = first_of(folded(row), "refillstatus", "status")
    if isinstance(status, dict):  # the reference nests an error in the status
        failure = find_failure(status)
        return UpstreamRefill(None, error=failure.text) if failure else None
    if not isinstance(status, str):
        return None
    word = _REFILL_WORD_OF.get(bare_word(status))
    text = clean(status, _LONGEST_ERROR)
    if word is None and status is row:
        return UpstreamRefill(None, error=text)
    return UpstreamRefill(word, raw_word=text[:LONGEST_WORD])
