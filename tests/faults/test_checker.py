"""The judge of the kill run is judged: it finds nothing in a sound run, and each planted wrong."""

from dataclasses import replace

import pytest

from tests.faults.checker import Evidence, Kept, Statement, violations
from tests.faults.load import Add, Outcome
from tests.faults.windows import Heard, Kill, Window, open_at

_PLACED = Kept(1, 7, "link-1", 100, "placed", "501", 900_000, 90_000, 0, (90_000,))
_FROZEN = Kept(2, 7, "link-2", 100, "unknown", None, 900_000, 90_000, 0, (90_000,))
_FAILED = Kept(3, 7, "link-3", 100, "failed", None, 900_000, 90_000, 90_000, (90_000,))
_REFUSED = Kept(4, 7, "link-4", 100, "placed", "504", 900_000, 90_000, 0, (90_000,))

SOUND = Evidence(
    adds=[
        Add(7, "link-1", 100, Outcome.OK, 1),
        Add(7, "link-2", 100, Outcome.UNKNOWN),
        Add(7, "link-3", 100, Outcome.OK, 3),
        Add(7, "link-4", 100, Outcome.FAIL, said="Not enough funds on balance"),
        Add(7, "link-5", 100, Outcome.UNKNOWN),
    ],
    orders=[_PLACED, _FROZEN, _FAILED],
    accepted=[("501", "link-1"), ("502", "link-2")],
    statements={
        7: Statement(
            1_000_000,
            820_000,
            (
                (1_000_000, 1_000_000),
                (-90_000, 910_000),
                (-90_000, 820_000),
                (-90_000, 730_000),
                (90_000, 820_000),
            ),
        )
    },
)


def _with_orders(*orders: Kept) -> Evidence:
    return replace(SOUND, orders=orders)


def _with_statement(statement: Statement) -> Evidence:
    return replace(SOUND, statements={7: statement})


def test_a_sound_run_has_no_violation() -> None:
    assert violations(SOUND) == []


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (_with_orders(_FROZEN, _FAILED), "lost: order 1"),
        (_with_orders(replace(_PLACED, id=9), _FROZEN, _FAILED), "acknowledged as 1 and is"),
        (_with_orders(_PLACED, replace(_PLACED, id=9), _FROZEN, _FAILED), "doubled: 2 orders"),
        (_with_orders(_PLACED, _FROZEN, _FAILED, _REFUSED), "exists although it was refused"),
        (_with_orders(_PLACED, _FROZEN, _FAILED, replace(_REFUSED, link="x")), "by nobody"),
        (_with_orders(replace(_PLACED, quantity=99), _FROZEN, _FAILED), "not what was asked for"),
        (_with_orders(replace(_PLACED, charges=()), _FROZEN, _FAILED), "was charged ()"),
        (
            _with_orders(replace(_PLACED, charges=(90_000, 90_000)), _FROZEN, _FAILED),
            "was charged (90000, 90000)",
        ),
        (
            replace(SOUND, accepted=[*SOUND.accepted, ("503", "link-2")]),
            "sent twice: the panel accepted link-2 2 times",
        ),
        (replace(SOUND, accepted=[*SOUND.accepted, ("503", "x")]), "which is no order of ours"),
        (replace(SOUND, accepted=[("502", "link-2")]), "placed as 501, the panel has None"),
        (
            _with_orders(replace(_PLACED, upstream_id="502"), _FROZEN, _FAILED),
            "placed as 502, the panel has 501",
        ),
        (
            replace(SOUND, accepted=[*SOUND.accepted, ("503", "link-3")]),
            "failed and refunded, the panel has 503",
        ),
        (
            _with_orders(_PLACED, replace(_FROZEN, refunded=90_000), _FAILED),
            "unknown, and 90000 was given back",
        ),
        (
            _with_orders(_PLACED, replace(_FROZEN, state="sending"), _FAILED),
            "sending although everything has come to rest",
        ),
        (_with_statement(replace(SOUND.statements[7], balance=1)), "has 1 instead of 820000"),
        (
            _with_statement(Statement(1_000_000, 820_000, ((1_000_000, 1_000_001),))),
            "entry 1: 1000001 instead of 1000000",
        ),
        (
            replace(SOUND, adds=[*SOUND.adds, Add(7, "link-9", 100)]),
            "link-9 has no outcome",
        ),
    ],
)
def test_each_wrong_is_found(evidence: Evidence, told: str) -> None:
    assert any(told in text for text in violations(evidence)), violations(evidence)


@pytest.mark.parametrize(
    ("received", "accepted", "window"),
    [
        ({}, {}, Window.INTENT_COMMITTED),
        ({"link": 900}, {}, Window.BYTES_SENT),
        ({"link": 900}, {"link": 1_200}, Window.BYTES_SENT),
        ({"link": 900}, {"link": 990}, Window.BYTES_SENT),
        ({"link": 900}, {"link": 950}, Window.ANSWER_NOT_RECORDED),
    ],
)
def test_an_intent_lies_in_the_window_that_the_panels_journals_prove(
    received: dict[str, int], accepted: dict[str, int], window: Window
) -> None:
    heard = Heard(received, accepted, answers_after_us=50)
    held = open_at(Kill(1_000, [], ["link"]), heard)
    assert {name for name, number in held.items() if number} == {window}


def test_an_add_without_an_answer_lies_in_an_open_group() -> None:
    kill = Kill(1_000, [Add(7, "link", 100, Outcome.UNKNOWN)], [])
    held = open_at(kill, Heard({}, {}, 50))
    assert {name for name, number in held.items() if number} == {Window.GROUP_OPEN}
