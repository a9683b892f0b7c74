"""Reading JSON as panels send it, and single values, one by one."""

from decimal import Decimal

import pytest

from providers.decoding import Json, Unreadable, clean, decode, is_true, read_amount, read_whole
from providers.reading import UNSOUND, find_order_id


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":1}', {"a": 1}),
        ('\ufeff \r\n{"a":1}\n\0', {"a": 1}),
        ('<br />\n<b>Notice</b>: Undefined index\n{"a":[1]}', {"a": [1]}),
        ('Warning: x\n[{"a":1}]', [{"a": 1}]),
        ("null", None),
        ('"Incorrect order ID"', "Incorrect order ID"),
    ],
)
def test_json_is_found_in_what_panels_send(text: str, value: object) -> None:
    assert decode(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \ufeff",
        "ok",
        '{"order":5',
        '{"data":{"order":5}',
        'x {"data":{"order":5}',
        "{'order':5}",
        '{"order":5} {"order":6}',
        "[" * 100_000,
        "<html>{</html>",
    ],
)
def test_what_is_not_json_as_a_whole_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        decode(text)


def test_the_title_of_a_page_is_kept_for_the_operator() -> None:
    with pytest.raises(Unreadable, match="'Just a moment'"):
        decode("<html><head><TITLE>\nJust a\nmoment</TITLE>")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999999999999", "9" * 5_000])
def test_a_number_of_no_sense_costs_its_field_and_not_the_answer(literal: str) -> None:
    payload = decode(f'{{"a":{literal},"b":2}}')
    assert isinstance(payload, dict)
    assert read_amount(payload["a"]) is None
    assert read_whole(payload["a"]) is None
    assert find_order_id({"order": payload["a"]}) is UNSOUND
    assert payload["b"] == 2


def test_no_number_becomes_a_float() -> None:
    assert decode("[0.1, 1e3, 1.0]") == [Decimal("0.1"), Decimal("1e3"), Decimal("1.0")]
    assert all(isinstance(value, Decimal) for value in decode("[0.1, 1e3, 1.0]") or [])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("0.90", "0.90"),
        (8, "8"),
        (Decimal("0.24000000000000002"), "0.24000000000000002"),
        ("1,234.56", "1234.56"),
        ("1,234,567", "1234567"),
        ("₹1,234.56", "1234.56"),
        ("$ 5.5", "5.5"),
        ("1 234.5", "1234.5"),
        ("-0.0000012", "-0.0000012"),
        ("1e-3", "0.001"),
        ("1.5E2", "150"),
        ("99999999", "99999999"),
    ],
)
def test_amounts_are_read(value: Json, amount: str) -> None:
    assert read_amount(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "$",
        "abc",
        "0,90",
        "1.234,56",
        "12,34",
        "0,900",
        "0.27819 USD",
        "1.2.3",
        "1_0",
        "٣",
        "\uff11",
        "nan",
        "inf",
        "--1",
        "1e400",
        "1e-400",
        "0." + "1" * 100,
        10**13,
        10**60,
        Decimal("1E+999999"),
        Decimal("NaN"),
        Decimal("Infinity"),
        [],
        {},
    ],
)
def test_what_is_no_amount_is_none(value: Json) -> None:
    assert read_amount(value) is None


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (5, 5),
        ("157", 157),
        ("-2", -2),
        ("1,000", 1000),
        ("10.0", 10),
        (Decimal("10.0"), 10),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (10**20, None),
        ("", None),
        ("Unknown", None),
        ("N/A", None),
        ("-", None),
        ("1.5", None),
        ("$5", None),
        ("1k", None),
        (None, None),
        (True, None),
        ([5], None),
    ],
)
def test_counters_are_whole_or_none(value: Json, whole: int | None) -> None:
    assert read_whole(value) == whole


@pytest.mark.parametrize("value", [True, "true", "True", 1, "1", "yes"])
def test_set_flags(value: Json) -> None:
    assert is_true(value)


@pytest.mark.parametrize("value", [False, "false", 0, "0", "2", 2, "", None, "no", [1], {"a": 1}])
def test_flags_that_are_not_set(value: Json) -> None:
    assert not is_true(value)


def test_names_become_one_line_without_tricks() -> None:
    assert clean(" a\r\n- b\0c\ud800 \u202egnp\u2028x\x85y ", 255) == "a - b c gnp x y"
    assert clean("👩‍🚀" * 3, 255) == "👩‍🚀" * 3
    assert clean("x" * 300, 255) == "x" * 255
