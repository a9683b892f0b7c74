"""What an account paid as evidence: which orders in doubt explain a change of its balance. Pure.

All amounts are micro-units of the account's currency. Whatever does not add up exactly, or adds up
in two ways, proves nothing: other programs may use the account.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations

from schemas.doubts import Doubt, KnownOrder, Reading
from schemas.money import Micros

#: Between the two readings that show the same.
APART = timedelta(seconds=60)
#: How far an order's real cost may be from what we compute: panels round to four decimals.
_SLACK: Micros = 100
_MOST_DOUBTS = 10


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the balance says. ``present`` and ``absent`` are order ids; empty where nothing follows.

    ``before`` and ``after`` are the readings that were compared, ``missing`` is what was paid
    beyond what we know of.
    """

    why: str
    present: frozenset[int] = frozenset()
    absent: frozenset[int] = frozenset()
    before: Reading | None = None
    after: Reading | None = None
    missing: Micros | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One account's readings, oldest first, the orders that it is known to have taken, and doubts.

    ``patience`` is how long after its beginning an attempt may still be charged when its answer
    came; ``quarantine`` when it did not.
    """

    readings: Sequence[Reading]
    known: Sequence[KnownOrder]
    doubts: Sequence[Doubt]
    quarantine: timedelta
    patience: timedelta
    currencies: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "currencies", frozenset(r.currency for r in self.readings))

    def charged_by(self, order: KnownOrder) -> datetime:
        """When a known order was charged at the latest."""
        return min(order.ended_at, order.started_at + self.patience)

    def is_clean(self, reading: Reading) -> bool:
        """Whether no known order was just being charged when the balance was told."""
        return not any(
            order.started_at <= reading.at and self.charged_by(order) >= reading.asked_at
            for order in self.known
        )


def weigh(account: Account) -> Weighed:
    """Which of the orders in doubt explain what the account paid (``reliability`` R4)."""
    if len(account.currencies) > 1:
        return Weighed("the account's currency has changed")
    before = _reading_before(account)
    if before is None:
        return Weighed("no reading of the balance from before the doubt")
    ends = _readings_after(account, before)
    if ends is None:
        return Weighed("no two readings yet from after the quarantine", before=before)
    span = (before, ends[1])
    last = ends[1]
    doubts = [d for d in account.doubts if before.at < d.started_at <= last.at]
    if len(doubts) > _MOST_DOUBTS:
        return Weighed("too many orders in doubt at the same time", before=before, after=last)
    told = [_missing(account, before, reading) for reading in ends]
    missing = [amount for amount in told if amount is not None]
    if len(missing) < len(told):
        return Weighed("an order of unknown cost in between", before=before, after=last)
    explained = [_explain(doubts, amount, _slack(account, before, last)) for amount in missing]
    found = explained[0]
    if found is None or found != explained[1]:
        why = "no or more than one explanation of what was paid"
        return Weighed(why, before=before, after=last, missing=missing[1])
    if found:
        # What another program paid may look like one of several, so nobody is acquitted by it.
        return Weighed("they would explain what was paid", found, frozenset(), *span, missing[1])
    absent = frozenset(doubt.order_id for doubt in doubts)
    return Weighed("nothing unknown was paid for", found, absent, *span, missing[1])


def _reading_before(account: Account) -> Reading | None:
    """The last clean reading before all open doubts, when earlier ones were over."""
    first = min((d.started_at for d in account.doubts if d.open), default=None)
    for reading in reversed(account.readings):
        settled = all(
            doubt.started_at > reading.at
            or doubt.started_at + account.quarantine <= reading.asked_at
            for doubt in account.doubts
        )
        if first is not None and reading.at < first and settled and account.is_clean(reading):
            return reading
    return None


def _readings_after(account: Account, before: Reading) -> tuple[Reading, Reading] | None:
    """The last two clean readings, apart, after which no doubt of before them was still to come."""
    clean = [r for r in account.readings if r.asked_at > before.at and account.is_clean(r)]
    for last in reversed(clean):
        first = next((r for r in reversed(clean) if r.at + APART <= last.asked_at), None)
        doubts = [d for d in account.doubts if before.at < d.started_at <= last.at]
        if first is None or not doubts:
            return None
        if all(d.started_at + account.quarantine <= first.asked_at for d in doubts):
            return first, last
    return None


def _missing(account: Account, before: Reading, after: Reading) -> Micros | None:
    """What was paid between two readings beyond the orders that we know of."""
    costs = [order.cost for order in _between(account, before, after)]
    spent = [cost for cost in costs if cost is not None]
    if len(spent) < len(costs):
        return None
    return before.amount - after.amount - sum(spent)


def _between(account: Account, before: Reading, after: Reading) -> list[KnownOrder]:
    return [
        order
        for order in account.known
        if order.started_at > before.at and account.charged_by(order) < after.asked_at
    ]


def _slack(account: Account, before: Reading, after: Reading) -> Micros:
    return _SLACK * (len(_between(account, before, after)) + 1)


def _explain(doubts: Sequence[Doubt], missing: Micros, slack: Micros) -> frozenset[int] | None:
    """The one set of doubts whose costs make up what is missing; None if there is not just one."""
    costs = {doubt.order_id: doubt.cost for doubt in doubts}
    # A cost that the slack could hide is neither there nor not there.
    if any(cost is None or cost <= 4 * slack for cost in costs.values()):
        return None
    near = [
        (chosen, abs(missing - sum(costs[one] or 0 for one in chosen)))
        for size in range(len(costs) + 1)
        for chosen in combinations(sorted(costs), size)
    ]
    likely = [(chosen, off) for chosen, off in near if off <= 3 * slack]
    if len(likely) != 1 or likely[0][1] > slack:
        return None
    return frozenset(likely[0][0])
