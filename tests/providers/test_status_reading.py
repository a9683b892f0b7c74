"""Statuses, refills and cancellations, value by value (T01 to T24 of polling)."""

from decimal import Decimal

import pytest

from providers.decoding import Json
from providers.request_reading import read_requests
from providers.status_reading import read_statuses, read_word
from schemas.upstream import UpstreamWord


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (" in progress", UpstreamWord.IN_PROGRESS),
        ("In_Progress", UpstreamWord.IN_PROGRESS),
        ("CANCELLED", UpstreamWord.CANCELED),
        ("Refunded", UpstreamWord.CANCELED),
        ("Fail", UpstreamWord.FAILED),
        ("", UpstreamWord.PENDING),
        (0, UpstreamWord.PENDING),
        ("4", UpstreamWord.CANCELED),
        ("success", None),
        ("Paused", None),
        (6, None),
        (True, None),
        (None, None),
        (Decimal("4.0"), None),
        (["Canceled"], None),
    ],
)
def test_words_are_known_or_none(raw: Json, word: UpstreamWord | None) -> None:
    assert read_word(raw) is word


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("charge", "-1"),
        ("charge", Decimal("NaN")),
        ("charge", "1e400"),
        ("charge", "0.27819 USD"),
        ("charge", "0,27"),
        ("start_count", ""),
        ("start_count", "-"),
        ("start_count", "N/A"),
        ("start_count", -5),
        ("start_count", 2**63),
        ("remains", ""),
        ("remains", "abc"),
        ("remains", "1.5"),
        ("remains", 10**20),
        ("currency", "$"),
        ("currency", 5),
    ],
)
def test_a_bad_field_is_dropped_and_the_state_stays(field: str, value: Json) -> None:
    found = read_statuses({"status": "Partial", field: value}, ["1"])["1"]
    assert found.word is UpstreamWord.PARTIAL
    assert getattr(found, field) is None


def test_remains_are_given_as_they_were_sent() -> None:
    assert read_statuses({"status": "Partial", "remains": "-2"}, ["1"])["1"].remains == -2


@pytest.mark.parametrize(
    ("payload", "ids", "found"),
    [
        ({"1": {"status": "Pending"}, "9": {"status": "Canceled"}}, ["1", "2"], ["1"]),
        ([{"order": 2, "status": "Pending"}, {"id": "1", "status": "x"}], ["1", "2"], ["1", "2"]),
        ([{"status": "Canceled"}, {"status": "Pending"}], ["1", "2"], []),
        ([{"status": "Canceled"}], ["1", "2"], []),
        ([{"status": "Pending"}], ["1"], ["1"]),
        ({"status": "Pending"}, ["1", "2"], []),
        ({"order": 2, "status": "Pending"}, ["1", "2"], ["2"]),
        ({"order": 2, "status": "Canceled"}, ["1"], []),
        ({"2": {"status": "Canceled"}}, ["1"], []),
        ({"status": "success", "data": {"status": "Pending"}}, ["1"], ["1"]),
        ({"data": [{"order": 1, "status": "Pending"}]}, ["1", "2"], ["1"]),
        ({"1": "Canceled"}, ["1", "2"], ["1"]),
        ({"1": 5, "2": None}, ["1", "2"], []),
        ({"remains": 5}, ["1"], []),
        (5, ["1"], []),
        ([], ["1"], []),
        ([[{"status": "Canceled"}]], ["1"], []),
    ],
)
def test_rows_belong_to_the_ids_that_they_carry(
    payload: Json, ids: list[str], found: list[str]
) -> None:
    assert sorted(read_statuses(payload, ids)) == found


def test_a_bare_number_is_no_state() -> None:
    found = read_statuses({"1": "5"}, ["1", "2"])
    assert found["1"].word is None
    assert found["1"].error == "5"


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        ({"cancel": 0}, False),
        ({"cancel": False}, False),
        ({"cancel": None}, False),
        ({"ok": False}, False),
        ({"success": "false"}, False),
        ({"cancel": {"error": "x"}}, False),
        ({"cancel": True}, True),
        ({"status": "Success"}, True),
        ({"cancel": {"id": 5}}, True),
    ],
)
def test_a_request_is_taken_or_not(row: dict[str, Json], taken: bool) -> None:
    assert read_requests({"7": row}, ["7"], "cancel")["7"].taken is taken


@pytest.mark.parametrize("row", [{}, {"status": "Canceled"}, {"cancel": [1]}, {"ok": "?"}, 5, None])
def test_an_answer_that_says_neither_is_left_out(row: Json) -> None:
    assert read_requests({"7": row}, ["7"], "cancel") == {}
