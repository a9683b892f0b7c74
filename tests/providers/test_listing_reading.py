"""Lists of an account's orders, in the shapes that panels give them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.decoding import Unreadable, decode
from providers.listing_reading import read_listing
from schemas.upstream import ListedOrder, OrderListing

_ROW = {"order": 7, "service": "3", "link": "https://a.example", "quantity": "100"}
_READ = ListedOrder("7", "3", "https://a.example", 100)


def _listing(value: Any) -> OrderListing:
    return read_listing(decode(json.dumps(value)))


@pytest.mark.parametrize(
    "answer",
    [
        [_ROW],
        {"orders": [_ROW]},
        {"status": "success", "data": [_ROW]},
        {"data": {"orders": [_ROW]}},
        {"orders": {"7": {k: v for k, v in _ROW.items() if k != "order"}}},
        {"7": {k: v for k, v in _ROW.items() if k != "order"}},
        [{"id": "7", "service_id": 3, "url": "https://a.example", "quantity": 100}],
        [{"orderID": "7", "serviceId": "3", "Link": "https://a.example", "Quantity": "100"}],
    ],
)
def test_a_list_is_found_wherever_panels_put_it(answer: Any) -> None:
    assert _listing(answer) == OrderListing((_READ,))


@pytest.mark.parametrize(
    "answer", [{}, {"orders": None}, "ok", 5, None, [{"a": 1}], ["x"], {"7": 1}]
)
def test_what_is_no_list_of_orders_is_never_an_empty_one(answer: Any) -> None:
    with pytest.raises(Unreadable):
        _listing(answer)


def test_an_empty_list_is_one() -> None:
    assert _listing([]) == _listing({"orders": []}) == OrderListing()


@pytest.mark.parametrize(
    "row", [{**_ROW, "order": None}, {**_ROW, "order": "0"}, {"x": 1}, "text", _ROW]
)
def test_rows_that_name_no_order_of_their_own_are_counted(row: Any) -> None:
    assert _listing([_ROW, row]) == OrderListing((_READ,), unread=1)


def test_values_in_unknown_forms_are_not_said() -> None:
    odd = {"order": 7, "service": None, "link": 5.5, "quantity": "many", "status": "Pending"}
    assert _listing([odd]) == OrderListing((ListedOrder("7"),))


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2026-03-01T12:00:00Z", True),
        ("2026-03-01 14:00:00+02:00", True),
        (1772366400, True),
        ("1772366400", True),
        ("2026-03-01 12:00:00", False),
        ("yesterday", False),
        (12, False),
        ("2026-13-01T12:00:00Z", False),
        (None, False),
    ],
)
def test_only_moments_of_a_known_zone_are_read(told: Any, read: bool) -> None:
    [order] = _listing([{**_ROW, "created_at": told}]).orders
    assert order.ordered_at == (datetime(2026, 3, 1, 12, tzinfo=UTC) if read else None)
