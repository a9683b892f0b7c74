"""An upstream's list of orders as evidence: which of its rows is an order in doubt. Pure.

Upstream ids rise, so a row between two orders of ours is from the time between them. The clocks of
panels are not trusted, except where they name their zone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from html import unescape

from schemas.doubts import Doubt, KnownOrder
from schemas.services import SERVICE_TYPES
from schemas.upstream import ListedOrder, OrderListing

#: How far a panel's clock may be behind ours.
_SKEW = timedelta(minutes=5)


class Seen(StrEnum):
    """What a list says of an order."""

    FOUND = "found"  # one row is this order and can be no other
    ABSENT = "absent"  # the list reaches back beyond it, and no row can be it
    POSSIBLE = "possible"  # rows may be it
    UNCLEAR = "unclear"  # the list proves nothing


@dataclass(frozen=True, slots=True)
class Sight:
    """What a list says of one order, and why. ``candidates`` are ids of rows that may be it."""

    seen: Seen
    why: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that was asked for at ``asked_at``, and what we know of its rows.

    ``known`` are the orders of ours among them, by upstream id; ``since`` are those that we know
    the upstream to have taken since the first doubt.
    """

    listing: OrderListing
    asked_at: datetime
    known: Mapping[str, KnownOrder]
    since: Sequence[KnownOrder]


def look_up(doubt: Doubt, rivals: Iterable[Doubt], listed: Listed, quarantine: timedelta) -> Sight:
    """What a list says of an order in doubt (``reliability`` R1).

    What is absent may still come until its ``quarantine`` is over: panels queue internally.
    ``rivals`` are all attempts that may have made one of its rows. A row that two of them may have
    made, and an order that two rows may be, are left to a person.
    """
    free = [row for row in listed.listing.orders if row.upstream_id not in listed.known]
    after, before = _bounds(doubt, listed, quarantine)
    newer = [row for row in free if _is_within(row, after, None)]
    possible = tuple(row.upstream_id for row in newer if _could_be(row, doubt))
    exact = [
        row
        for row in newer
        if _is_exactly(row, doubt)
        and _is_within(row, after, before)
        and _is_in_time(row, doubt, quarantine, dated_only=after is None)
    ]
    if len(exact) == 1:
        claimants = {r.order_id for r in rivals if _is_exactly(exact[0], r)} | {doubt.order_id}
        if claimants == {doubt.order_id}:
            return Sight(Seen.FOUND, "one row is this order", (exact[0].upstream_id,))
        return Sight(Seen.POSSIBLE, "another order in doubt may be this row", possible)
    if possible:
        return Sight(Seen.POSSIBLE, "rows that may be this order", possible)
    if why_not := _why_incomplete(doubt, listed, after):
        return Sight(Seen.UNCLEAR, why_not)
    return Sight(Seen.ABSENT, "the list reaches back beyond it and does not have it")


def _bounds(doubt: Doubt, listed: Listed, quarantine: timedelta) -> tuple[int | None, int | None]:
    """The ids between which the order must lie: those of ours before and after it."""
    late = doubt.started_at + quarantine
    ids = [(number_of(id_), order) for id_, order in listed.known.items()]
    before = [n for n, order in ids if n is not None and order.ended_at < doubt.started_at]
    after = [n for n, order in ids if n is not None and order.started_at > late]
    return max(before, default=None), min(after, default=None)


def number_of(upstream_id: str) -> int | None:
    """An upstream's id as a number that rises, where it is one."""
    plain = upstream_id.isascii() and upstream_id.isdecimal() and len(upstream_id) <= 18
    return int(upstream_id) if plain else None


def _is_within(row: ListedOrder, after: int | None, before: int | None) -> bool:
    number = number_of(row.upstream_id)
    if number is None:
        return before is None
    return (after is None or number > after) and (before is None or number < before)


def _is_in_time(row: ListedOrder, doubt: Doubt, quarantine: timedelta, *, dated_only: bool) -> bool:
    if row.ordered_at is None:
        return not dated_only and number_of(row.upstream_id) is not None
    return doubt.started_at - _SKEW <= row.ordered_at <= doubt.started_at + quarantine + _SKEW


def _is_exactly(row: ListedOrder, doubt: Doubt) -> bool:
    return (
        row.service == doubt.upstream_service
        and row.link is not None
        and _bare(row.link) == _bare(doubt.link)
        and (row.quantity == doubt.quantity or not _is_counted(doubt))
    )


def _could_be(row: ListedOrder, doubt: Doubt) -> bool:
    """Panels rewrite links, so a link that differs proves nothing."""
    same_service = row.service in (None, doubt.upstream_service)
    return same_service and (row.quantity in (None, doubt.quantity) or not _is_counted(doubt))


def _is_counted(doubt: Doubt) -> bool:
    kind = SERVICE_TYPES[doubt.service_type]
    return kind.counted is not None and not kind.times


def _bare(link: str) -> str:
    return unescape(link).strip().rstrip("/")


def _why_incomplete(doubt: Doubt, listed: Listed, after: int | None) -> str:
    """Why a list does not prove that an order is absent; empty where it does."""
    if listed.listing.unread:
        return f"{listed.listing.unread} rows could not be read"
    if after is None:
        return "no order of ours from before it is in the list"
    shown = {order.upstream_id for order in listed.listing.orders}
    missing = [
        order.upstream_id
        for order in listed.since
        if doubt.started_at <= order.started_at
        and order.ended_at < listed.asked_at
        and order.upstream_id not in shown
    ]
    return f"the list lacks order {missing[0]}, which is ours" if missing else ""
