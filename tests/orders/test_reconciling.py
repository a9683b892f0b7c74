"""What evidence about orders in doubt proves: tables, and worlds in which the truth is known."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from gateway.orders.balance_book import Account, Weighed, weigh
from gateway.orders.listed_orders import Listed, Seen, look_up
from gateway.orders.reconciling import Evidence, confirms, judge, kept_id
from schemas.doubts import Doubt, Finding, KnownOrder, Reading
from schemas.money import UNIT
from schemas.upstream import ListedOrder, OrderListing, UpstreamStatus, UpstreamWord
from tests.orders.making import NOW

_QUARANTINE = timedelta(minutes=15)
_PATIENCE = timedelta(seconds=80)
_MINUTE = timedelta(minutes=1)
_LATER = NOW + timedelta(minutes=20)


def a_doubt(number: int = 1, **values: object) -> Doubt:
    doubt = Doubt(
        order_id=number,
        attempt=1,
        upstream_service="7",
        service_type="Default",
        link=f"https://a.example/{number}",
        quantity=100,
        cost=UNIT,
        started_at=NOW,
        doubted_at=NOW,
        body="",
        open=True,
    )
    return replace(doubt, **values)  # type: ignore[arg-type]


def known(upstream_id: int, minutes: float, cost: int = UNIT) -> KnownOrder:
    at = NOW + minutes * _MINUTE
    return KnownOrder(str(upstream_id), 900 + upstream_id, at, at + timedelta(seconds=1), cost)


def a_row(upstream_id: int, doubt: Doubt, **values: object) -> ListedOrder:
    row = ListedOrder(str(upstream_id), doubt.upstream_service, doubt.link, doubt.quantity)
    return replace(row, **values)  # type: ignore[arg-type]


def listed(rows: Sequence[ListedOrder], *ours: KnownOrder, unread: int = 0) -> Listed:
    shown = [*rows, *(ListedOrder(order.upstream_id, "9", "x", 1) for order in ours)]
    by_id = {order.upstream_id: order for order in ours}
    return Listed(OrderListing(tuple(shown), unread), _LATER, by_id, list(ours))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"order":123}', "123"),
        ('{"order":123,', "123"),
        ('{"order" : "123"', "123"),
        ('{"order_id":"ab-1"}', "ab-1"),
        ('{"orderID": 5 }', "5"),
        ('{"order":123', None),
        ('{"order":"12', None),
        ('{"order":1.5}', None),
        ('{"order":-3}', None),
        ('{"order":0}', None),
        ('{"order":null}', None),
        ('{"order":"none"}', None),
        ('{"order":1,"order":2}', None),
        ('{"order":[1]}', None),
        ('{"reorder":5}', None),
        ("", None),
    ],
)
def test_only_a_whole_id_of_one_order_is_kept(body: str, found: str | None) -> None:
    assert kept_id(body) == found


@pytest.mark.parametrize(
    ("status", "sure"),
    [
        (UpstreamStatus(UpstreamWord.PENDING), True),
        (UpstreamStatus(None, raw_word="Odd"), True),
        (UpstreamStatus(UpstreamWord.PENDING, remains=100), True),
        (UpstreamStatus(UpstreamWord.PENDING, remains=101), False),
        (UpstreamStatus(None, error="Incorrect order ID"), False),
        (UpstreamStatus(None), False),
        (None, False),
    ],
)
def test_an_id_is_confirmed_by_a_report_that_can_be_true(
    status: UpstreamStatus | None, sure: bool
) -> None:
    assert confirms(status, 100) is sure


_ONE = a_doubt()
_BEFORE, _AFTER = known(50, -10), known(90, 17)
_DATED = NOW + timedelta(seconds=30)

_SIGHTS: dict[str, tuple[Listed, Seen]] = {
    "the one row": (listed([a_row(60, _ONE)], _BEFORE), Seen.FOUND),
    "between two of ours": (listed([a_row(60, _ONE)], _BEFORE, _AFTER), Seen.FOUND),
    "a slash, an entity": (
        listed([a_row(60, _ONE, link="https://a.example/1/")], _BEFORE),
        Seen.FOUND,
    ),
    "a date of a known zone": (listed([a_row(60, _ONE, ordered_at=_DATED)]), Seen.FOUND),
    "two rows": (listed([a_row(60, _ONE), a_row(61, _ONE)], _BEFORE), Seen.POSSIBLE),
    "another link": (listed([a_row(60, _ONE, link="@1")], _BEFORE), Seen.POSSIBLE),
    "no quantity": (listed([a_row(60, _ONE, quantity=None)], _BEFORE), Seen.POSSIBLE),
    "no time": (listed([a_row(60, _ONE)]), Seen.POSSIBLE),
    "too late": (listed([a_row(95, _ONE)], _BEFORE, _AFTER), Seen.POSSIBLE),
    "an old date": (
        listed([a_row(60, _ONE, ordered_at=NOW - timedelta(days=1))], _BEFORE),
        Seen.POSSIBLE,
    ),
    "no number": (listed([replace(a_row(60, _ONE), upstream_id="x1")], _BEFORE), Seen.POSSIBLE),
    "of another service": (listed([a_row(60, _ONE, service="8")], _BEFORE), Seen.ABSENT),
    "of another size": (listed([a_row(60, _ONE, quantity=99)], _BEFORE), Seen.ABSENT),
    "older than ours": (listed([a_row(40, _ONE)], _BEFORE), Seen.ABSENT),
    "nothing new": (listed([], _BEFORE), Seen.ABSENT),
    "empty": (listed([]), Seen.UNCLEAR),
    "a row that cannot be read": (listed([], _BEFORE, unread=1), Seen.UNCLEAR),
    "ours only from later": (listed([], _AFTER), Seen.UNCLEAR),
    "one of ours is not in it": (
        replace(listed([], _BEFORE), since=[known(70, 3)]),
        Seen.UNCLEAR,
    ),
}


@pytest.mark.parametrize("case", _SIGHTS)
def test_what_a_list_says_of_an_order(case: str) -> None:
    given, seen = _SIGHTS[case]
    assert look_up(_ONE, [_ONE], given, _QUARANTINE).seen is seen


@pytest.mark.parametrize("open_", [True, False], ids=["also in doubt", "given up or on the wire"])
def test_a_row_that_two_orders_may_be_is_neither_s(open_: bool) -> None:
    twin = replace(_ONE, order_id=2, open=open_)
    sight = look_up(_ONE, [_ONE, twin], listed([a_row(60, _ONE)], _BEFORE), _QUARANTINE)
    assert sight.seen is Seen.POSSIBLE
    assert sight.candidates == ("60",)


# -- the balance ---------------------------------------------------------------------------------


def reading(minutes: float, amount: int, currency: str = "USD") -> Reading:
    at = NOW + minutes * _MINUTE
    return Reading(at - timedelta(seconds=1), at, amount, currency)


def weighed(
    readings: Sequence[Reading], doubts: Sequence[Doubt] = (_ONE,), *ours: KnownOrder
) -> Weighed:
    return weigh(Account(readings, ours, doubts, _QUARANTINE, _PATIENCE))


_FULL = 100 * UNIT
_QUIET = [reading(-1, _FULL), reading(16, _FULL), reading(18, _FULL)]
_PAID = [reading(-1, _FULL), reading(16, _FULL - UNIT), reading(18, _FULL - UNIT)]


def test_a_balance_that_did_not_fall_acquits_and_one_that_fell_by_the_cost_does_not() -> None:
    assert weighed(_QUIET).absent == {1}
    assert weighed(_PAID).present == {1}
    assert weighed(_PAID).absent == frozenset()


def test_what_is_known_to_have_been_paid_is_taken_into_account() -> None:
    ours = known(70, 3, cost=2 * UNIT)
    paid = [reading(-1, _FULL), reading(16, _FULL - 2 * UNIT), reading(18, _FULL - 2 * UNIT)]
    assert weighed(paid, [_ONE], ours).absent == {1}
    assert weighed(_QUIET, [_ONE], ours).absent == frozenset()
    assert weighed(paid, [_ONE], replace(ours, cost=None)).absent == frozenset()


_NOTHING: dict[str, tuple[Sequence[Reading], Sequence[Doubt]]] = {
    "no reading from before": (_QUIET[1:], [_ONE]),
    "one reading after": (_QUIET[:2], [_ONE]),
    "two at the same time": ([*_QUIET[:2], reading(16.5, _FULL)], [_ONE]),
    "before the quarantine is over": (
        [reading(-1, _FULL), reading(10, _FULL), reading(14, _FULL)],
        [_ONE],
    ),
    "the two differ": ([*_QUIET[:2], reading(18, _FULL - UNIT)], [_ONE]),
    "not the cost": ([*_PAID[:1], reading(16, _FULL - 7), reading(18, _FULL - 700_000)], [_ONE]),
    "money came in": ([reading(-1, _FULL), reading(16, 2 * _FULL), reading(18, 2 * _FULL)], [_ONE]),
    "another currency": ([*_QUIET[:2], reading(18, _FULL, "EUR")], [_ONE]),
    "an unknown cost": (_QUIET, [replace(_ONE, cost=None)]),
    "a cost too small": (_QUIET, [replace(_ONE, cost=300)]),
    "equal costs, one paid": (_PAID, [_ONE, replace(_ONE, order_id=2)]),
    "an earlier doubt is not over": (
        _QUIET,
        [_ONE, replace(_ONE, order_id=2, started_at=NOW - 5 * _MINUTE)],
    ),
    "a later doubt is not over": (
        _QUIET,
        [_ONE, replace(_ONE, order_id=2, started_at=NOW + 10 * _MINUTE)],
    ),
    "too many": (_QUIET, [replace(_ONE, order_id=n, cost=n * UNIT) for n in range(1, 13)]),
}


@pytest.mark.parametrize("case", _NOTHING)
def test_whatever_does_not_add_up_proves_nothing(case: str) -> None:
    found = weighed(*_NOTHING[case])
    assert (found.present, found.absent) == (frozenset(), frozenset()), found.why


def test_a_reading_while_an_order_was_being_charged_is_not_used() -> None:
    on_the_way = replace(known(70, 16), ended_at=NOW + 16.5 * _MINUTE)
    found = weighed([*_QUIET, reading(17.5, _FULL - UNIT)], [_ONE], on_the_way)
    assert found.absent == frozenset()


# -- the ladder ----------------------------------------------------------------------------------

_PROOF = Weighed("nothing unknown was paid for", absent=frozenset({1}))
_EVIDENCE = Evidence(_LATER, _QUARANTINE, timedelta(minutes=30), [_ONE])

_VERDICTS: dict[str, tuple[Evidence, Finding, str]] = {
    "nothing is known": (_EVIDENCE, Finding.OPEN, ""),
    "an id in the answer": (
        replace(_EVIDENCE, named={1: "60"}, confirmed=frozenset({1})),
        Finding.PLACED,
        "found_in_answer",
    ),
    "found in the list": (
        replace(_EVIDENCE, listed=listed([a_row(60, _ONE)], _BEFORE)),
        Finding.PLACED,
        "found_in_list",
    ),
    "not in the list": (
        replace(_EVIDENCE, listed=listed([], _BEFORE)),
        Finding.NOT_PLACED,
        "absent_from_list",
    ),
    "not in the list, too early": (
        replace(_EVIDENCE, now=NOW + 14 * _MINUTE, listed=listed([], _BEFORE)),
        Finding.OPEN,
        "",
    ),
    "not paid for": (
        replace(_EVIDENCE, weighed=_PROOF, quiet=True),
        Finding.NOT_PLACED,
        "absent_by_balance",
    ),
    "not paid for, but money came back": (replace(_EVIDENCE, weighed=_PROOF), Finding.OPEN, ""),
    "not paid for, but rows may be it": (
        replace(
            _EVIDENCE,
            weighed=_PROOF,
            quiet=True,
            listed=listed([a_row(60, _ONE, link="@1")], _BEFORE),
        ),
        Finding.OPEN,
        "",
    ),
    "not in the list, but an answer named it": (
        replace(_EVIDENCE, listed=listed([], _BEFORE), named={1: "60"}),
        Finding.OPEN,
        "",
    ),
    "not in the list, but paid for": (
        replace(
            _EVIDENCE,
            listed=listed([], _BEFORE),
            has_list=True,
            weighed=Weighed("", present=frozenset({1})),
        ),
        Finding.OPEN,
        "",
    ),
    "paid for, and no list": (
        replace(_EVIDENCE, weighed=Weighed("", present=frozenset({1}))),
        Finding.REVIEW,
        "paid_for_upstream",
    ),
    "by hand": (replace(_EVIDENCE, by_hand=True), Finding.NOT_PLACED, "never_handed_over"),
    "by hand, too early": (replace(_EVIDENCE, by_hand=True, now=NOW), Finding.OPEN, ""),
    "for too long": (replace(_EVIDENCE, now=NOW + 30 * _MINUTE), Finding.REVIEW, "not_reconciled"),
}


@pytest.mark.parametrize("case", _VERDICTS)
def test_what_the_evidence_comes_to(case: str) -> None:
    evidence, finding, cause = _VERDICTS[case]
    [verdict] = judge(evidence)
    assert (verdict.finding, verdict.cause) == (finding, cause)


# -- worlds in which the truth is known ----------------------------------------------------------


@dataclass
class Truth:
    """What really happened at an upstream around some doubts."""

    doubts: list[Doubt] = field(default_factory=list)
    taken: dict[int, str] = field(default_factory=dict)  # by order
    ours: list[KnownOrder] = field(default_factory=list)
    rows: list[ListedOrder] = field(default_factory=list)
    charges: list[tuple[float, int]] = field(default_factory=list)  # minute and amount


def a_world(chance: random.Random) -> Truth:
    """Doubts of few shapes, orders of ours around them, and perhaps another program's."""
    truth, upstream_id = Truth(), 1_000
    strangers = chance.random() < 0.3
    equal = chance.random() < 0.5
    number = chance.choice([1, 2, 2, 3, 10])
    moments = sorted(chance.uniform(-30, 12) for _ in range(number + 6))
    waiting = set(chance.sample(range(len(moments)), number))
    for place, minute in enumerate(moments):
        upstream_id += chance.randint(1, 9)
        cost = UNIT if equal else chance.choice([1, 2, 3, 5]) * UNIT // 2
        link = f"https://a.example/{chance.randint(1, 1 if equal else 6)}"
        shape = a_doubt(place, link=link, cost=cost, started_at=NOW + minute * _MINUTE)
        row = a_row(upstream_id, shape)
        if place in waiting:
            truth.doubts.append(replace(shape, open=chance.random() < 0.9))
            if chance.random() < 0.5:
                truth.taken[place] = row.upstream_id
                truth.rows.append(row)
                truth.charges.append((minute + chance.uniform(0, 14), cost))
        elif strangers and chance.random() < 0.5:
            # Of the same service and size; the same link at the same time would be our order.
            truth.rows.append(replace(row, link="https://b.example"))
            truth.charges.append((minute, cost))
        else:
            truth.ours.append(known(upstream_id, minute, cost))
            truth.rows.append(row)
            truth.charges.append((minute, cost))
    return truth


def the_evidence(truth: Truth, chance: random.Random) -> Evidence:
    """What a look after all quarantines sees; lists may be short, balances are what was paid."""
    now = NOW + 40 * _MINUTE
    shown = sorted(truth.rows, key=lambda row: -int(row.upstream_id))
    if chance.random() < 0.5:
        shown = shown[: chance.randint(0, len(shown))]
    ids = {row.upstream_id for row in shown}
    by_id = {order.upstream_id: order for order in truth.ours if order.upstream_id in ids}
    readings = [
        reading(minute, _FULL - sum(cost for at, cost in truth.charges if at < minute))
        for minute in (-60, -20, -10, -1, 5, 28, 30, 33, 36)
    ]
    opens = [doubt.started_at for doubt in truth.doubts if doubt.open]
    since = [order for order in truth.ours if opens and order.started_at >= min(opens)]
    return Evidence(
        now=now,
        quarantine=_QUARANTINE,
        deadline=timedelta(minutes=90),
        doubts=truth.doubts,
        listed=Listed(OrderListing(tuple(shown)), now, by_id, since)
        if chance.random() < 0.7
        else None,
        weighed=weigh(Account(readings, truth.ours, truth.doubts, _QUARANTINE, _PATIENCE)),
        quiet=True,
    )


def test_no_order_is_ever_found_where_it_is_not_nor_missed_where_it_is() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    found = dict.fromkeys(Finding, 0)
    for _ in range(1_000):
        truth = a_world(chance)
        for verdict in judge(the_evidence(truth, chance)):
            order_id = verdict.doubt.order_id
            found[verdict.finding] += 1
            if verdict.finding is Finding.PLACED:
                assert truth.taken.get(order_id) == verdict.upstream_id, (seed, truth)
            elif verdict.finding is Finding.NOT_PLACED:
                assert order_id not in truth.taken, (seed, verdict.cause, truth)
    # A judge who decides nothing would be right, too.
    assert min(found[Finding.PLACED], found[Finding.NOT_PLACED], found[Finding.OPEN]) > 50, found
