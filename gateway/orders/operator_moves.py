"""Orders that an operator sends again, or refunds: pure decisions.

What happens to an order in doubt is decided in ``resolving``, what a request to cancel does in
``cancelling``.
"""

from gateway.errors import UserError
from gateway.orders.lifecycle import is_package, move, refund_target, unchanged
from gateway.orders.resolving import IN_DOUBT, Case
from schemas.money import refund_due
from schemas.orders import Order, OrderChange, OrderState

_REFUNDABLE = frozenset({OrderState.COMPLETED, OrderState.PARTIAL})


def resent(case: Case) -> OrderChange:
    """Have an order that waits sent now instead of later.

    Only those that wait: an order that was in doubt may run although every attempt is called
    refused or absent, and what is done about it is decided in ``resolving``.

    Raises:
        UserError: when something may run upstream, or the order has ended; the message says what
            can be done.
    """
    order = case.order
    if order.state is OrderState.QUEUED:
        return unchanged(order, next_in=0)
    if order.state in IN_DOUBT:
        raise UserError(
            f"order {order.id} may run at its upstream: look there, then use `smm-gateway review "
            f"resolve {order.id}` with --placed or --not-placed"
        )
    raise UserError(f"order {order.id} is {order.state}: only orders that wait are sent again")


def refunded(case: Case, remains: int | None, *, correction_ms: int) -> OrderChange | None:
    """Pay back what an ended order owes: all of it, or the part of ``remains``; None where that was
    paid before. Together never more than the charge.

    Raises:
        UserError: when the order has not ended, or cannot be partial like that.
    """
    order = case.order
    if case.plan is not None:
        raise UserError(
            f"order {order.id} is delivered in parts: refund those, as "
            f"`smm-gateway order show {order.id}` lists them"
        )
    if order.refunded == order.charge:
        return None
    if order.state not in _REFUNDABLE:
        raise UserError(
            f"order {order.id} is {order.state}: only ended orders are refunded; see "
            "`smm-gateway order cancel` and `smm-gateway review resolve`"
        )
    to = OrderState.CANCELED if remains is None else OrderState.PARTIAL
    target = refund_target(order, to, remains)
    if target is None:
        raise UserError(_impossible(order))
    if refund_due(target, order.refunded, order.charge) == 0:
        return None
    watched = None if to is OrderState.CANCELED else correction_ms
    return move(
        order, to, "operator_refunded", refund_target=target, remains=remains, next_in=watched
    )


def _impossible(order: Order) -> str:
    allowed = f"what was not delivered is 1 to {order.quantity}"
    if is_package(order):
        allowed = "a package is refunded as a whole"
    return f"order {order.id} cannot be partial like that: {allowed}"
