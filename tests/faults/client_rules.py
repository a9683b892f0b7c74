"""The rules that hold for what clients saw, from their own logs alone."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from tests.faults.evidence import Evidence
from tests.faults.journal import Add, BalanceRead, Outcome, Sight

_FINAL = 2
_RANKS = {
    "Pending": 0,
    "Processing": 1,
    "In progress": 1,
    "Completed": _FINAL,
    "Partial": _FINAL,
    "Canceled": _FINAL,
}


def client_violations(evidence: Evidence) -> Iterator[str]:
    """Everything that a client could complain about."""
    return chain(
        _own_orders_are_known(evidence),
        _charged_as_told(evidence),
        _balance_walks(evidence),
        _status_moves_on(evidence),
        _own_writes_are_read(evidence),
    )


def _rank(word: str) -> int:
    return _RANKS.get(word, _FINAL)


def _own_orders_are_known(evidence: Evidence) -> Iterator[str]:
    """Whoever was given an id may ask for it at any time."""
    for sight in evidence.sights:
        if sight.word not in _RANKS:
            yield f"order {sight.order_id}: its client was told {sight.word!r}"


def _wanted(adds: Iterable[Add]) -> dict[str, list[Add]]:
    """Adds by link: twins want the same order."""
    found: dict[str, list[Add]] = defaultdict(list)
    for add in adds:
        found[add.link].append(add)
    return found


def _charged_as_told(evidence: Evidence) -> Iterator[str]:
    """An order costs what its client reckons from ``services``, as long as nothing comes back."""
    prices = {add.order_id: add.price for add in evidence.adds if add.outcome is Outcome.OK}
    for sight in evidence.sights:
        price = prices.get(sight.order_id)
        if not price:
            continue
        right = sight.charge <= price if _rank(sight.word) == _FINAL else sight.charge == price
        if not right:
            yield f"order {sight.order_id} is told as {sight.charge} instead of {price}"


def _balance_walks(evidence: Evidence) -> Iterator[str]:
    """Start, less what the orders cost at last, is the last balance that was told (O3).

    An ``add`` of which its client knows nothing may have cost its price, or nothing.
    """
    last_told = {s.order_id: s for s in sorted(evidence.sights, key=lambda s: s.ended)}
    last_read = {b.reseller_id: b for b in sorted(evidence.balances, key=lambda b: b.ended)}
    for reseller_id, read in last_read.items():
        if reseller_id not in evidence.statements:
            continue
        known: set[int] = set()
        open_prices = 0
        own = (add for add in evidence.adds if add.reseller_id == reseller_id)
        for twins in _wanted(own).values():
            told = {t.order_id for t in twins if t.outcome is Outcome.OK and t.order_id is not None}
            known |= told
            if not told and any(t.outcome is Outcome.UNKNOWN for t in twins):
                open_prices += twins[0].price
        if unseen := sorted(known - last_told.keys()):
            yield f"reseller {reseller_id} was never told of its orders {unseen[:5]}"
            continue
        highest = evidence.statements[reseller_id].funds - sum(last_told[n].charge for n in known)
        if not highest - open_prices <= read.amount <= highest:
            yield (
                f"reseller {reseller_id} reckons {highest} (up to {open_prices} less), "
                f"and is told {read.amount}"
            )


def _status_moves_on(evidence: Evidence) -> Iterator[str]:
    """What was told of an order never steps back, and its end stays as told (O5).

    Compared are only answers of which one was there before the other was asked for.
    """
    of_order: dict[int, list[Sight]] = defaultdict(list)
    for sight in evidence.sights:
        of_order[sight.order_id].append(sight)
    for order_id, sights in of_order.items():
        by_end = sorted(sights, key=lambda s: s.ended)
        ends = [s.ended for s in by_end]
        furthest: list[Sight] = []
        for sight in by_end:
            best = furthest[-1] if furthest else sight
            furthest.append(sight if _rank(sight.word) > _rank(best.word) else best)
        for sight in sights:
            before = bisect_right(ends, sight.began)
            if before and (text := _step_back(furthest[before - 1], sight)):
                yield f"order {order_id}: {text}"


def _step_back(earlier: Sight, later: Sight) -> str | None:
    if _rank(later.word) < _rank(earlier.word):
        return f"{later.word} after {earlier.word}"
    told = (earlier.word, earlier.charge, earlier.remains)
    if _rank(earlier.word) == _FINAL and told != (later.word, later.charge, later.remains):
        return f"told as {told}, then as {(later.word, later.charge, later.remains)}"
    return None


def _own_writes_are_read(evidence: Evidence) -> Iterator[str]:
    """After an acknowledged ``add`` its client reads a balance without its price (O6).

    Looked at are resellers with one client, whose orders are never refunded.
    """
    for reseller_id in evidence.alone:
        reads = sorted(
            (b for b in evidence.balances if b.reseller_id == reseller_id), key=lambda b: b.began
        )
        adds = [add for add in evidence.adds if add.reseller_id == reseller_id]
        for before, after in pairwise(reads):
            if text := _wrong_step(before, after, adds):
                yield f"reseller {reseller_id}: {text}"


def _wrong_step(before: BalanceRead, after: BalanceRead, adds: Sequence[Add]) -> str | None:
    # One that was asked for before the first read may become an order after it, when its answer
    # was lost.
    begun = [a for a in adds if a.began < after.ended]
    near = [a for a in begun if a.ended > before.began or a.outcome is Outcome.UNKNOWN]
    sure = [a for a in near if a.began >= before.ended and a.ended <= after.began]
    unsure = [a for a in near if a.began < before.ended or a.ended > after.began]
    spent = sum(a.price for a in sure if a.outcome is Outcome.OK)
    open_prices = sum(a.price for a in unsure if a.outcome is not Outcome.FAIL)
    open_prices += sum(a.price for a in sure if a.outcome is Outcome.UNKNOWN)
    highest = before.amount - spent
    if highest - open_prices <= after.amount <= highest:
        return None
    return f"{before.amount}, then {spent} spent, then {after.amount} (open: {open_prices})"
