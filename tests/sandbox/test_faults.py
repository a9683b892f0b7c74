"""Every fault, seen from the socket, and whether the order was accepted all the same."""

import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from providers.sandbox.faults import FAULTS, BadFault, Manner, parse_fault
from tests.sandbox.conftest import RunningPanel, Wire

LINK = "https://example.com/p/1?sandbox="

Seen = Callable[[Wire], bool]


def _status(code: int, body: bytes | None = None) -> Seen:
    return lambda wire: wire.status == code and (body is None or wire.body == body)


def _nothing(end: str) -> Seen:
    return lambda wire: wire.data == b"" and wire.end == end


def _html(code: int) -> Seen:
    return lambda wire: wire.status == code and "text/html" in wire.head and b"<html" in wire.body


def _short(body: bytes) -> Seen:
    """The connection ended before the length that was promised."""
    return lambda wire: wire.body == body and f"content-length: {len(body)}" not in wire.head


def _error(text: str, code: int = 200) -> Seen:
    return _status(code, json.dumps({"error": text}, separators=(",", ":")).encode())


#: (fault, how it looks, whether the order was accepted)
TABLE: list[tuple[str, Seen, bool]] = [
    ("refuse", _error("Bad link"), False),
    ("refuse:neworder.error.link_duplicate", _error("neworder.error.link_duplicate"), False),
    *((f"refuse-{s}:No", _error("No", s), False) for s in (400, 401, 403, 404, 405, 422)),
    ("bad-key", _error("Invalid API key"), False),
    ("no-funds", _error("Not enough funds on balance"), False),
    (
        "active-link",
        _error("You have active order with this link. Please wait until order being completed."),
        False,
    ),
    ("too-many:7", lambda wire: wire.status == 429 and "retry-after: 7" in wire.head, False),
    ("reset-before", _nothing("reset"), False),
    ("reset-after", _nothing("reset"), True),
    ("close-before", _nothing("eof"), False),
    ("close-after", _nothing("eof"), True),
    ("hang-before", _nothing("silence"), False),
    ("hang-after", _nothing("silence"), True),
    *((f"{s}-before", _html(s), False) for s in (500, 502, 503, 504)),
    *((f"{s}-after", _html(s), True) for s in (500, 502, 503, 504)),
    ("html-before", _html(200), False),
    ("html-after", _html(200), True),
    ("maintenance", _html(503), False),
    ("empty-before", _status(200, b""), False),
    ("empty-after", _status(200, b""), True),
    ('body-before:"ok"', _status(200, b'"ok"'), False),
    ("body-after", _status(200, b"[]"), True),
    ("truncated-before", _short(b'{"order":21'), False),
    ("truncated-after", _short(b'{"order":23'), True),
    ("truncated-after:99", _short(b'{"order":23501}'), True),
    ("cut-before", _status(200, b'{"order":21'), False),
    ("cut-after:5", _status(200, b'{"ord'), True),
    ("notice:Oops ", _status(200, b'Oops {"order":23501}'), True),
    ("redirect-before:301", lambda w: w.status == 301 and "location: /moved" in w.head, False),
    ("redirect-after", lambda w: w.status == 307 and "location: /moved" in w.head, True),
    ("noise-before", lambda wire: wire.data.startswith(b"220 "), False),
    ("noise-after", lambda wire: wire.data.startswith(b"220 "), True),
    ("huge-after:100000", lambda wire: len(wire.body) == 100_015, True),
    ("id", _status(200, b'{"order":"23501"}'), True),
    ("id:float", _status(200, b'{"order":23501.0}'), True),
    ("id:half", _status(200, b'{"order":23501.5}'), True),
    ("id:bool", _status(200, b'{"order":true}'), True),
    ("id:null", _status(200, b'{"order":null}'), True),
    ("id:zero", _status(200, b'{"order":0}'), True),
    ("id:negative", _status(200, b'{"order":-23501}'), True),
    ("id:list", _status(200, b'{"order":[23501]}'), True),
    ("id:none", _status(200, b"{}"), True),
    ("id:error", _status(200, b'{"order":23501,"error":"Something went wrong"}'), True),
    ("slow-before:1", _status(200, b'{"order":23501}'), True),
    ("slow-after:1", _status(200, b'{"order":23501}'), True),
    ("partial:10", _status(200, b'{"order":23501}'), True),
    ("cancel", _status(200, b'{"order":23501}'), True),
    ("stall", _status(200, b'{"order":23501}'), True),
    ("unique-link", _status(200, b'{"order":23501}'), True),
]


@pytest.mark.parametrize(("fault", "seen", "accepted"), TABLE, ids=[row[0] for row in TABLE])
async def test_fault_by_link(panel: RunningPanel, fault: str, seen: Seen, accepted: bool) -> None:
    silence = 0.7 if fault.startswith("hang") else 30.0
    wire = await panel.raw(silence, link=LINK + quote(fault))
    assert seen(wire), wire
    assert len(panel.accepted()) == accepted
    assert len(panel.received()) == 1
    assert FAULTS[fault.partition(":")[0]].acts is accepted


def test_the_table_above_names_every_fault_of_an_add() -> None:
    tested = {row[0].partition(":")[0] for row in TABLE}
    others = {n for n, b in FAULTS.items() if b.manner in (Manner.CELL, Manner.SHAPE)}
    assert tested | others == set(FAULTS)


@pytest.mark.parametrize(
    "text", ["refuze", "partial:101", "cancel:3", "redirect-after:200", "id:x"]
)
def test_a_misspelt_fault_is_an_error(text: str) -> None:
    with pytest.raises(BadFault):
        parse_fault(text)


async def test_a_misspelt_fault_is_no_order(panel: RunningPanel) -> None:
    assert (await panel.raw(link=LINK + "refuze")).status == 400
    assert panel.accepted() == []


async def test_whoever_follows_a_redirect_is_counted(panel: RunningPanel) -> None:
    assert await panel.add(link=LINK + "redirect-after") == {"error": "Incorrect request"}
    assert (await panel.control("state", method="GET"))["requests"] == {"add": 1, "moved": 1}
    assert len(panel.accepted()) == 1


async def test_a_slow_answer_takes_its_time(panel: RunningPanel) -> None:
    began = time.monotonic()
    await panel.add(link=LINK + "slow-before:60&sandbox=slow-after:60")
    assert time.monotonic() - began >= 0.12


async def test_latency_of_the_settings(panel: RunningPanel) -> None:
    await panel.control("conduct", {"latency_before_ms": 60, "latency_after_ms": 60})
    began = time.monotonic()
    await panel.add()
    assert time.monotonic() - began >= 0.12


async def test_a_stalled_order_never_ends(panel: RunningPanel) -> None:
    await panel.add(link=LINK + "stall")
    await panel.control("advance", {"work": 1000})
    row = await panel.call("status", order=23501)
    assert (row["status"], row["remains"]) == ("In progress", "500")


async def test_an_order_shows_garbage_for_ever(panel: RunningPanel) -> None:
    cells = "status:Awaiting&sandbox=remains:-2&sandbox=start_count:=null&sandbox=charge:1e400"
    await panel.add(link=LINK + cells + "&sandbox=currency:=broken")
    assert await panel.call("status", order=23501) == {
        "charge": "1e400",
        "start_count": None,
        "status": "Awaiting",
        "remains": "-2",
        "currency": "=broken",
    }


async def test_one_active_order_a_link(panel: RunningPanel) -> None:
    link = LINK + "unique-link"
    taken = {
        "error": "You have active order with this link. Please wait until order being completed."
    }
    assert await panel.add(link=link) == {"order": 23501}
    assert await panel.add(link=link) == taken
    assert await panel.add(link=link, service=102) == {"order": 23502}
    await panel.control("advance", {"work": 1})
    assert await panel.add(link=link) == {"order": 23503}
    assert await panel.add() == {"order": 23504}
    assert await panel.add() == {"order": 23505}
    await panel.control("conduct", {"unique_links": True})
    assert await panel.add() == taken


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("missing", ["23502"]),
        ("unknown", ["23501", "23502", "23503"]),
        ("list", [None, None, None]),
        ("list-with-ids", ["23501", "23502", "23503"]),
    ],
)
async def test_shapes_of_status(
    panel: RunningPanel, shape: str, expected: list[str | None]
) -> None:
    for _ in range(3):
        await panel.add()
    await panel.control("faults", {"action": "status", "fault": f"shape:{shape}"})
    answer = await panel.call("status", orders="23501,23502,23503")
    if isinstance(answer, list):
        assert [row.get("order") for row in answer] == expected
    else:
        assert list(answer) == expected
    if shape == "unknown":
        assert set(map(str, answer.values())) == {"{'error': 'Incorrect order ID'}"}
    assert len(await panel.call("status", orders="23501,23502,23503")) == 3


async def test_other_answers_keep_their_shape(panel: RunningPanel) -> None:
    await panel.control("faults", {"action": "balance", "fault": "shape"})
    assert await panel.call("balance") == {"balance": "1000.00", "currency": "USD"}
    assert await panel.add(link=LINK + "id:zero", quantity=1) == {
        "error": "Quantity less than minimal 10"
    }
