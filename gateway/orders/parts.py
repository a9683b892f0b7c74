"""Orders in parts: what the parts have delivered, and how that ends their parent. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.orders.lifecycle import move
from schemas.money import Micros, first_shares
from schemas.orders import Order, OrderChange, OrderState
from schemas.schedules import Run


def delivered(runs: Iterable[Run]) -> int:
    """How many pieces the parts that have ended delivered, of those that are paid for."""
    return sum(map(_delivered, runs))


def _delivered(run: Run) -> int:
    match run.state:
        case OrderState.COMPLETED:
            return run.quantity
        case OrderState.PARTIAL:
            return run.quantity - (run.remains or 0)
        case _:
            return 0


def unused(parent: Order, served: int, parts: int) -> Micros:
    """What a parent owes for those of its ``parts`` that will never be, when ``served`` were."""
    return parent.charge - first_shares(parent.charge, served, parts)


def concluded(
    parent: Order, runs: Sequence[Run], pieces: int, owed: Micros, cause: str
) -> OrderChange:
    """The end of a parent of which ``pieces`` were delivered and no part is open.

    ``owed`` is what it owes for parts that will never be; each part settles its own share. The
    reseller is told what all of them together cost.
    """
    to = OrderState.PARTIAL
    if pieces == parent.quantity:
        to = OrderState.COMPLETED
    elif pieces == 0:
        to = OrderState.CANCELED
    left = parent.quantity - pieces
    change = move(parent, to, cause, refund_target=owed, remains=left, next_in=None)
    returned = sum(run.refunded for run in runs)
    return replace(change, wire_charge=change.wire_charge - returned)
