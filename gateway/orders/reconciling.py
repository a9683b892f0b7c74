"""Reconciling as decisions: what the evidence about an order in doubt comes to. Pure.

The ladder of ``reliability`` B6, strongest first: the kept part of the answer, the upstream's list
of orders, its balance. What none of them proves, a person decides. Nothing is ever sent to find
out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.orders.balance_book import Weighed
from gateway.orders.listed_orders import Listed, Seen, Sight, look_up
from schemas.doubts import Doubt, Finding, Verdict
from schemas.money import format_amount
from schemas.upstream import UpstreamStatus

#: An id counts only with what ends it: half of a number is another order's id.
_KEPT_ID = re.compile(
    r'"order(?:_?id)?"\s*:\s*(?:"([A-Za-z0-9_-]{1,64})"|([0-9]{1,20})\s*[,}])', re.IGNORECASE
)
_ZERO = re.compile(r"0*", re.ASCII)
_NO_LIST = Sight(Seen.UNCLEAR, "no list of orders")
_NOT_WEIGHED = Weighed("the balance was not weighed")


def kept_id(body: str) -> str | None:
    """The id of the one order that the kept part of an answer names, whole; None otherwise."""
    found = {quoted or plain for quoted, plain in _KEPT_ID.findall(body)}
    ids = [one for one in found if any(map(str.isdigit, one)) and not _ZERO.fullmatch(one)]
    return ids[0] if len(ids) == 1 == len(found) else None


def confirms(status: UpstreamStatus | None, quantity: int) -> bool:
    """Whether a report shows that an order of at most this size exists."""
    if status is None or status.error is not None or not (status.word or status.raw_word):
        return False
    return status.remains is None or status.remains <= quantity


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one look found out about the orders in doubt at a provider.

    ``now`` is from before the upstream was asked. ``named`` are the ids that kept answers name, by
    order, ``confirmed`` those orders whose id the upstream knows and no other order of ours has.
    ``listed`` is None where there was no list. ``quiet``: no order of ours was paid back upstream
    since the first reading that ``weighed`` is made of.
    """

    now: datetime
    quarantine: timedelta
    deadline: timedelta
    doubts: Sequence[Doubt]
    by_hand: bool = False
    named: Mapping[int, str] = field(default_factory=dict)
    confirmed: frozenset[int] = frozenset()
    has_list: bool = False
    listed: Listed | None = None
    weighed: Weighed = _NOT_WEIGHED
    quiet: bool = False


def judge(evidence: Evidence) -> list[Verdict]:
    """A verdict on each order that is open."""
    return [_judge_one(doubt, evidence) for doubt in evidence.doubts if doubt.open]


def _judge_one(doubt: Doubt, evidence: Evidence) -> Verdict:
    sight = _NO_LIST
    if evidence.listed is not None:
        sight = look_up(doubt, evidence.doubts, evidence.listed, evidence.quarantine)
    shown = _shown(doubt, evidence, sight)

    def verdict(finding: Finding, cause: str = "", upstream_id: str | None = None) -> Verdict:
        return Verdict(doubt, finding, cause, shown, upstream_id)

    if doubt.order_id in evidence.confirmed:
        return verdict(Finding.PLACED, "found_in_answer", evidence.named[doubt.order_id])
    if sight.seen is Seen.FOUND:
        return verdict(Finding.PLACED, "found_in_list", sight.candidates[0])
    if evidence.now >= doubt.started_at + evidence.quarantine:
        if cause := _why_absent(doubt, evidence, sight):
            return verdict(Finding.NOT_PLACED, cause)
        if doubt.order_id in evidence.weighed.present and not evidence.has_list:
            return verdict(Finding.REVIEW, "paid_for_upstream")
    if evidence.now >= doubt.doubted_at + evidence.deadline:
        return verdict(Finding.REVIEW, "not_reconciled")
    return verdict(Finding.OPEN)


def _why_absent(doubt: Doubt, evidence: Evidence, sight: Sight) -> str:
    """The proof that an upstream does not have an order; empty where there is none."""
    if evidence.by_hand:
        return "never_handed_over"
    contradicted = doubt.order_id in evidence.named or doubt.order_id in evidence.weighed.present
    if contradicted or sight.seen is Seen.POSSIBLE:
        return ""
    if sight.seen is Seen.ABSENT:
        return "absent_from_list"
    if doubt.order_id in evidence.weighed.absent and evidence.quiet:
        return "absent_by_balance"
    return ""


def _shown(doubt: Doubt, evidence: Evidence, sight: Sight) -> dict[str, Any]:
    """The evidence as it is kept with the order, in words and texts."""
    weighed = evidence.weighed
    before, after = weighed.before, weighed.after
    rivals = [d for d in evidence.doubts if d.order_id != doubt.order_id]
    return {
        "answer": {
            "named": evidence.named.get(doubt.order_id),
            "confirmed": doubt.order_id in evidence.confirmed,
        },
        "list": {
            "says": sight.seen,
            "why": sight.why,
            "candidates": list(sight.candidates[:20]),
        },
        "balance": {
            "why": weighed.why,
            "quiet": evidence.quiet,
            "paid_for": doubt.order_id in weighed.present,
            "not_paid_for": doubt.order_id in weighed.absent,
            "cost": None if doubt.cost is None else format_amount(doubt.cost),
            "unexplained": None if weighed.missing is None else format_amount(weighed.missing),
            "before": format_amount(before.amount) if before else None,
            "before_at": before.at.isoformat(timespec="seconds") if before else None,
            "after": format_amount(after.amount) if after else None,
            "after_at": after.at.isoformat(timespec="seconds") if after else None,
        },
        "others_in_doubt": len(rivals),
    }
