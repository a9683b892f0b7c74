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
        ("awaiting", UpstreamWord.PENDING),
        ("Creating", UpstreamWord.PENDING),
        ("new", UpstreamWord.PENDING),
        ("queued", UpstreamWord.PENDING),
        ("pprocessing", UpstreamWord.PROCESSING),
        (1, UpstreamWord.PROCESSING),
        ("in-progress", UpstreamWord.IN_PROGRESS),
        ("Active", UpstreamWord.IN_PROGRESS),
        ("Holding", UpstreamWord.IN_PROGRESS),
        ("Running", UpstreamWord.IN_PROGRESS),
        ("complete", UpstreamWord.COMPLETED),
        ("Done", UpstreamWord.COMPLETED),
        (2, UpstreamWord.COMPLETED),
        ("Partially Completed", UpstreamWord.PARTIAL),
        ("Partial Complete", UpstreamWord.PARTIAL),
        ("3", UpstreamWord.PARTIAL),
        ("Cancel", UpstreamWord.CANCELED),
        ("canelled", UpstreamWord.CANCELED),
        ("canscelled", UpstreamWord.CANCELED),
        ("Order Cancelled", UpstreamWord.CANCELED),
        ("refund", UpstreamWord.CANCELED),
        ("Refunds", UpstreamWord.CANCELED),
        ("Rejected", UpstreamWord.CANCELED),
        ("5", UpstreamWord.CANCELED),
        ("failed", UpstreamWord.FAILED),
        ("ERROR", UpstreamWord.FAILED),
        ("Expired", None),
        ("Refill", None),
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
    ("raw", "word"),
    [
        ("Active", UpstreamWord.IN_PROGRESS),
        ("Paused", UpstreamWord.IN_PROGRESS),
        ("Expired", UpstreamWord.COMPLETED),
        ("Completed", UpstreamWord.COMPLETED),
        ("Canceled", UpstreamWord.CANCELED),
        ("Suspended", None),
    ],
)
def test_a_subscription_has_words_of_its_own(raw: str, word: UpstreamWord | None) -> None:
    row: Json = {"status": raw, "expiry": "11/11/2022", "posts": "2", "orders": [7, "8", 7]}
    found = read_statuses({"1": row}, ["1"])["1"]
    assert (found.word, found.posts, found.orders) == (word, 2, ("7", "8"))


@pytest.mark.parametrize("posts", [None, "", "many", -1, True, [2]])
def test_posts_that_are_no_count_are_not_told(posts: Json) -> None:
    row: Json = {"status": "Active", "posts": posts, "orders": {"7": 1}}
    found = read_statuses({"1": row}, ["1"])["1"]
    assert (found.posts, found.orders) == (None, ())


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


@pytest.mark.parametrize(
    ("value", "orders"),
    [
        (["1001", 1002, "1001"], ("1001", "1002")),
        ([None, 0, "", "x y", {"id": 5}, True, 7], ("7",)),
        ([], ()),
        ("1001,1002", ()),
        ({"1001": {}}, ()),
        (None, ()),
    ],
)
def test_the_orders_of_a_subscription_are_read_one_by_one(
    value: Json, orders: tuple[str, ...]
) -> None:
    row: Json = {"status": "Active", "expiry": True, "posts": "3", "orders": value}
    found = read_statuses(row, ["1"])["1"]
    assert (found.word, found.orders, found.posts) == (UpstreamWord.IN_PROGRESS, orders, 3)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("start_count", "1526.0", 1526),
        ("start_count", Decimal("1526.00"), 1526),
        ("start_count", "1,526", 1526),
        ("remains", " 157 ", 157),
        ("remains", "1e2", 100),
        ("remains", "Unknown", None),
        ("remains", None, None),
        ("start_count", "Unknown", None),
        ("posts", "-1", None),
        ("posts", "many", None),
    ],
)
def test_counters_are_whole_numbers_however_they_are_written(
    field: str, value: Json, read: int | None
) -> None:
    found = read_statuses({"status": "Pending", field: value}, ["1"])["1"]
    assert getattr(found, field) == read


@pytest.mark.parametrize(
    "payload",
    [
        {"77": {"status": "Partial", "remains": "5"}},
        {" 77 ": {"status": "Partial", "remains": 5}},
        [{"status": "Partial", "remains": "5.0"}],
        [{"order": "77", "status": "Partial", "remains": 5}],
        {"data": {"77": {"status": "Partial", "remains": 5}}},
        {"status": "success", "data": [{"id": 77, "status": "partial", "remains": 5}]},
    ],
)
def test_one_order_is_read_in_every_shape_that_panels_answer_it_in(payload: Json) -> None:
    found = read_statuses(payload, ["77"])["77"]
    assert (found.word, found.remains) == (UpstreamWord.PARTIAL, 5)


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
