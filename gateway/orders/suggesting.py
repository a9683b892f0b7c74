"""What an operator should do next about an order in doubt: a pure reading of the evidence."""

from dataclasses import dataclass
from enum import Enum

from schemas.doubts import DoubtfulOrder
from schemas.orders import OrderState


class Next(Enum):
    """What is to be done next."""

    WAIT = "wait"  # it is still being looked for
    LOOK = "look"  # it is known there: see how it stands
    COMPARE = "compare"  # one or some there may be it
    FIND = "find"  # it was paid for, so it is there
    SEARCH = "search"  # it may be there or not


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What should be done next, and the upstream's orders that it is about."""

    next: Next
    upstream_ids: tuple[str, ...] = ()


def suggested(order: DoubtfulOrder) -> Suggestion:
    """What an operator should do next, from what is known."""
    found = order.look.evidence if order.look else {}
    if order.state is OrderState.UNKNOWN:
        return Suggestion(Next.WAIT)
    if order.upstream_id is not None:
        return Suggestion(Next.LOOK, (order.upstream_id,))
    if named := found.get("answer", {}).get("named"):
        return Suggestion(Next.COMPARE, (str(named),))
    if candidates := found.get("list", {}).get("candidates", []):
        return Suggestion(Next.COMPARE, tuple(map(str, candidates)))
    return Suggestion(Next.FIND if found.get("balance", {}).get("paid_for") else Next.SEARCH)
