"""Reading an upstream's list of an account's orders.

What a row does not say in a form that is known is ``None``: a row is never matched by a guess.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from providers.decoding import Json, Unreadable, first_of, folded, read_text, read_whole
from providers.reading import read_order_id
from schemas.upstream import ListedOrder, OrderListing

_LIST_NAMES = ("orders", "data", "list", "items", "result")
_ID_NAMES = ("order", "orderid", "id")
_SERVICE_NAMES = ("service", "serviceid")
_LINK_NAMES = ("link", "url", "username")
_TIME_NAMES = ("createdat", "created", "date", "time", "timestamp")
#: Whatever identifies a row as an order: rows of another API are no list of orders.
_TELLING = frozenset({*_SERVICE_NAMES, *_LINK_NAMES, "quantity", "status", "charge"})
_DEEPEST = 3
_LONGEST_LINK = 2_048
_ZONED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d)")
#: Unix times in seconds from 2017 to 2036; anything else may be another number.
_EPOCH = range(1_500_000_000, 2_100_000_000)


def read_listing(payload: Json) -> OrderListing:
    """The orders in an answer: a list, a list under a name, or an object keyed by id.

    An id that stands twice makes the whole list worthless, like rows that name no order.

    Raises:
        Unreadable: when the answer is no list of orders.
    """
    rows = _rows_of(payload, _DEEPEST)
    known = [row for row in rows if row.keys() & _TELLING]
    if rows and not known:
        raise Unreadable("rows that are no orders")
    found: dict[str, ListedOrder] = {}
    unread = len(rows) - len(known)
    for row in known:
        order = _read_row(row)
        if order is None or order.upstream_id in found:
            unread += 1
        else:
            found[order.upstream_id] = order
    return OrderListing(tuple(found.values()), unread)


def _rows_of(payload: Json, depth: int) -> list[dict[str, Json]]:
    if isinstance(payload, list):
        return [folded(row) if isinstance(row, dict) else {} for row in payload]
    if isinstance(payload, dict):
        inner = first_of(folded(payload), *_LIST_NAMES)
        if isinstance(inner, list | dict) and depth:
            return _rows_of(inner, depth - 1)
        if payload and all(isinstance(row, dict) for row in payload.values()):
            return [
                {"id": key, **folded(row)} for key, row in payload.items() if isinstance(row, dict)
            ]
    raise Unreadable("an answer that is no list of orders")


def _read_row(row: Mapping[str, Json]) -> ListedOrder | None:
    order_id = read_order_id(first_of(row, *_ID_NAMES))
    if not isinstance(order_id, str):
        return None
    quantity = read_whole(row.get("quantity"))
    return ListedOrder(
        upstream_id=order_id,
        service=read_text(first_of(row, *_SERVICE_NAMES), 64) or None,
        link=read_text(first_of(row, *_LINK_NAMES), _LONGEST_LINK) or None,
        quantity=quantity if quantity is not None and quantity > 0 else None,
        ordered_at=_read_time(first_of(row, *_TIME_NAMES)),
    )


def _read_time(value: Json) -> datetime | None:
    """A moment whose time zone is certain."""
    if isinstance(value, str) and _ZONED.fullmatch(value.strip()):
        try:
            return datetime.fromisoformat(value.strip()).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    number = read_whole(value) if isinstance(value, int | str) else None
    if number is None or number not in _EPOCH:
        return None
    return datetime.fromtimestamp(number, UTC)
