"""Refusals and order ids in answers, value by value."""

from decimal import Decimal

import pytest

from providers.decoding import Json
from providers.reading import ABSENT, UNSOUND, find_failure, find_order_id


@pytest.mark.parametrize(
    ("payload", "texts"),
    [
        ({"error": "x"}, ("x",)),
        ({"Error": "x"}, ("x",)),
        ({"errors": ["x", "y"]}, ("x", "y")),
        ({"errors": {"link": ["x"]}}, ("x",)),
        ({"error": {"code": "c", "message": "m"}}, ("m", "c")),
        ({"error": True, "message": "m"}, ("m",)),
        ({"error": 5}, ("5",)),
        ({"status": "error", "msg": "m", "error": "e"}, ("e", "m")),
        ({"status": "fail", "message": "m"}, ("m",)),
        ({"status": False}, ()),
        ({"status": "error"}, ("error",)),
        ({"success": False, "msg": "m"}, ("m",)),
        ({"success": "false"}, ()),
        ("x", ("x",)),
    ],
)
def test_refusals_are_found(payload: Json, texts: tuple[str, ...]) -> None:
    failure = find_failure(payload)
    assert failure is not None
    assert tuple(text for text in failure.texts if text) == texts


@pytest.mark.parametrize(
    "payload",
    [
        {"order": 1},
        {"order": 1, "error": False},
        {"order": 1, "error": None},
        {"order": 1, "error": ""},
        {"order": 1, "errors": []},
        {"status": "success"},
        {"status": 104},
        {"success": True},
        {"success": "Your order will be refill asap"},
        [{"error": "x"}],
        None,
        5,
    ],
)
def test_what_is_no_refusal(payload: Json) -> None:
    assert find_failure(payload) is None


def test_fail_is_a_state_where_a_state_was_asked_for() -> None:
    assert find_failure({"status": "Fail", "remains": "5"}, state_expected=True) is None
    assert find_failure({"status": "Error", "message": "m"}, state_expected=True) is not None


@pytest.mark.parametrize(("status", "number"), [("104", 104), (115, 115), (100, None), ("x", None)])
def test_a_number_counts_only_beside_an_error(status: Json, number: int | None) -> None:
    failure = find_failure({"error": "x", "status": status})
    assert failure is not None
    assert failure.number == number


@pytest.mark.parametrize(
    ("payload", "order_id"),
    [
        ({"order": 23501}, "23501"),
        ({"order": " 23501 "}, "23501"),
        ({"order_id": 5}, "5"),
        ({"orderID": "77"}, "77"),
        ({"Order": 5}, "5"),
        ({"id": "abc-1_Z"}, "abc-1_Z"),
        ({"data": {"order": 991}}, "991"),
        ({"data": {"order_id": "9"}}, "9"),
        ({"data": {"id": 9}}, "9"),
        ({"order": 7, "id": 9}, "7"),
        ({"order": "507f1f77bcf86cd799439011"}, "507f1f77bcf86cd799439011"),
        ({"order": "x" * 63 + "1"}, "x" * 63 + "1"),
    ],
)
def test_order_ids_are_found(payload: Json, order_id: str) -> None:
    assert find_order_id(payload) == order_id


@pytest.mark.parametrize(
    "payload",
    [
        {},
        None,
        [],
        5,
        "5",
        [{"order": 5}],
        {"order": 0},
        {"order": "0"},
        {"order": None},
        {"order": ""},
        {"order": False},
        {"order": 0, "id": 7},
        {"data": [5]},
    ],
)
def test_answers_without_an_order_id(payload: Json) -> None:
    assert find_order_id(payload) is ABSENT


@pytest.mark.parametrize(
    "value",
    [
        True,
        -1,
        "-1",
        "1.5",
        Decimal("1.5"),
        [1],
        {"id": 1},
        "null",
        "success",
        "1,2",
        "1 2",
        "x" * 64 + "1",
        10**70,
        "\uff11\uff12",
        "12\n13",
        "<b>1</b>",
    ],
)
def test_things_in_the_place_of_an_order_id(value: Json) -> None:
    assert find_order_id({"order": value}) is UNSOUND
