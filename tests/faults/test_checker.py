"""The judge of a run is judged: it finds nothing in a sound run, and each planted wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.checker import violations
from tests.faults.evidence import AskedRefill, Evidence, Kept, Snapshot, Statement
from tests.faults.journal import Add, BalanceRead, Journal, Outcome, Request, Sight
from tests.faults.judging import leaks
from tests.faults.windows import Heard, Kill, Window, open_at

_PLACED = Kept(1, 7, "link-1", 100, "placed", "501", 900_000, 90_000, 0, (90_000,))
_FROZEN = Kept(2, 7, "link-2", 100, "unknown", None, 900_000, 90_000, 0, (90_000,))
_FAILED = Kept(3, 7, "link-3", 100, "failed", None, 900_000, 90_000, 90_000, (90_000,))
_REFUSED = Kept(4, 7, "link-4", 100, "placed", "504", 900_000, 90_000, 0, (90_000,))

SOUND = Evidence(
    adds=[
        Add(7, "link-1", 100, Outcome.OK, 1, price=90_000, began=1, ended=2),
        Add(7, "link-2", 100, Outcome.UNKNOWN, price=90_000, began=3, ended=4),
        Add(7, "link-3", 100, Outcome.OK, 3, price=90_000, began=5, ended=6),
        Add(7, "link-4", 100, Outcome.FAIL, said="Not enough funds on balance"),
        Add(7, "link-5", 100, Outcome.UNKNOWN, price=90_000, began=7, ended=8),
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
    sights=[
        Sight(7, 1, "Pending", 90_000, 100, began=2, ended=3),
        Sight(7, 1, "In progress", 90_000, 60, began=4, ended=5),
        Sight(7, 3, "Canceled", 0, 100, began=8, ended=9),
    ],
    balances=[BalanceRead(7, 820_000, began=10, ended=11)],
    requests=[Request(7, "refill", 1, Outcome.OK, given="31")],
    snapshots=[Snapshot(1, 910_000, 910_000), Snapshot(2, 820_000, 820_000)],
    upstream={"link-1": "In progress", "link-2": "Pending"},
    refills=[AskedRefill(31, 1, "placed")],
    refilled={"501": 1},
)

#: A reseller with one client, as it sees itself: two orders of 90 000, one of them in doubt.
_LONE = replace(
    SOUND,
    orders=[_PLACED],
    accepted=[("501", "link-1")],
    adds=[
        Add(7, "link-1", 100, Outcome.OK, 1, price=90_000, began=2, ended=3),
        Add(7, "link-5", 100, Outcome.UNKNOWN, price=90_000, began=4, ended=5),
    ],
    statements={7: Statement(1_000_000, 910_000, ((1_000_000, 1_000_000), (-90_000, 910_000)))},
    sights=SOUND.sights[:2],
    balances=[
        BalanceRead(7, 1_000_000, began=0, ended=1),
        BalanceRead(7, 910_000, began=6, ended=7),
    ],
    alone=frozenset({7}),
)


def _told_later(*sights: Sight) -> Evidence:
    return replace(SOUND, sights=[*SOUND.sights, *sights])


def _read(*amounts: int) -> Evidence:
    reads = [BalanceRead(7, amount, 6 * n, 6 * n + 1) for n, amount in enumerate(amounts)]
    return replace(_LONE, balances=reads)


def _with_orders(*orders: Kept) -> Evidence:
    return replace(SOUND, orders=orders)


def _with_statement(statement: Statement) -> Evidence:
    return replace(SOUND, statements={7: statement})


def _when_made(evidence: Evidence) -> Evidence:
    """The same when the order in doubt exists after all."""
    made = Kept(5, 7, "link-5", 100, "unknown", None, 900_000, 90_000, 0, (90_000,))
    walk = (*evidence.statements[7].entries, (-90_000, 820_000))
    statement = Statement(1_000_000, 820_000, walk)
    return replace(evidence, orders=[_PLACED, made], statements={7: statement})


@pytest.mark.parametrize(
    "evidence",
    [
        SOUND,
        _LONE,
        _when_made(_read(1_000_000, 820_000)),
        _when_made(_read(1_000_000, 910_000, 820_000)),
    ],
)
def test_a_sound_run_has_no_violation(evidence: Evidence) -> None:
    assert violations(evidence) == []


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
        # one of several that asked for the same order was given another, or refused
        (
            replace(SOUND, adds=[*SOUND.adds, Add(7, "link-1", 100, Outcome.OK, 8)]),
            "link-1 was acknowledged as 8 and is order 1",
        ),
        (
            replace(SOUND, adds=[*SOUND.adds, Add(7, "link-1", 100, Outcome.FAIL, said="funds")]),
            "order 1 exists although it was refused: funds",
        ),
        # canceled here, and running there
        (
            _with_orders(
                replace(_PLACED, state="canceled", upstream_id=None, refunded=90_000),
                _FROZEN,
                _FAILED,
            ),
            "canceled and refunded, the panel has 501",
        ),
        (
            _with_orders(_PLACED, replace(_FROZEN, state="review", refunded=1), _FAILED),
            "review, and 1 was given back",
        ),
        (
            replace(SOUND, upstream={"link-1": "In progress", "link-3": "Completed"}),
            "order 3: 90000 was given back, the panel says Completed",
        ),
        # the bank
        (
            replace(SOUND, snapshots=[*SOUND.snapshots, Snapshot(3, 820_000, 730_000)]),
            "the bank at 3.0 s holds 820000, its entries make 730000",
        ),
        # refills
        (replace(SOUND, refills=[]), "lost: refill 31 of order 1"),
        (replace(SOUND, refills=[AskedRefill(31, 3, "placed")]), "lost: refill 31 of order 1"),
        (replace(SOUND, refilled={"501": 2}), "refilled 2 times: 501, asked for 1 times"),
        (
            replace(SOUND, refills=[AskedRefill(31, 1, "rejected")]),
            "refilled 1 times: 501, asked for 0 times",
        ),
        # what clients saw
        (_told_later(Sight(7, 1, "Pending", 90_000, 100, 6, 7)), "1: Pending after In progress"),
        (_told_later(Sight(7, 3, "Canceled", 45_000, 50, 10, 11)), "order 3: told as"),
        (_told_later(Sight(7, 3, "Completed", 0, 100, 10, 11)), "order 3: told as"),
        (_told_later(Sight(7, 1, "Incorrect order ID", 0, 0, 6, 7)), "was told 'Incorrect order"),
        (_told_later(Sight(7, 1, "In progress", 80_000, 60, 6, 7)), "told as 80000 instead of"),
        (
            replace(SOUND, balances=[BalanceRead(7, 910_001, 10, 11)]),
            "reseller 7 reckons 910000 (up to 180000 less), and is told 910001",
        ),
        (
            replace(SOUND, balances=[BalanceRead(7, 729_999, 10, 11)]),
            "reseller 7 reckons 910000 (up to 180000 less), and is told 729999",
        ),
        (replace(SOUND, sights=SOUND.sights[:2]), "reseller 7 was never told of its orders [3]"),
        (_read(1_000_000, 1_000_000), "1000000, then 90000 spent, then 1000000"),
        (_read(1_000_000, 819_999), "1000000, then 90000 spent, then 819999"),
        (replace(SOUND, leaks=["the key of acme, in gateway-1.log"]), "leaked: the key of acme"),
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


def test_a_secret_is_found_wherever_it_is_printed() -> None:
    secrets = {"a key": "k-1", "a password": "p-1"}
    printed = {"log": "all is well", "metrics": 'smm{key="k-1"}', "answers": "p-1 and k-1"}
    assert list(leaks(secrets, printed)) == [
        "a key, in metrics",
        "a key, in answers",
        "a password, in answers",
    ]


def test_a_journal_that_was_cut_off_is_read_with_its_doubts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    answered = Add(7, "link-1", 100, began=1)
    for entry in (answered, Add(7, "link-2", 100, began=2), Request(7, "refill", 1, began=3)):
        journal.begin(entry)
    answered.outcome, answered.order_id = Outcome.OK, 1
    journal.note(answered)
    journal.begin(Sight(7, 1, "Pending", 90_000, 100, 4, 5))
    with (tmp_path / "journal.jsonl").open("a") as log:
        log.write('{"kind": "Add", "resel')
    read = Journal.read(tmp_path / "journal.jsonl")
    assert [(a.link, a.outcome, a.order_id) for a in read.adds] == [
        ("link-1", Outcome.OK, 1),
        ("link-2", Outcome.UNKNOWN, None),
    ]
    assert [request.outcome for request in read.requests] == [Outcome.UNKNOWN]
    assert read.sights == journal.sights
