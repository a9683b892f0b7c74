"""What is typed to look for orders, as a filter. Pure."""

from gateway.web.ops.fields import whole_number
from gateway.web.ops.forms import Form
from schemas.order_search import OrderFilter
from schemas.orders import OrderState


def filter_of(query: Form, *, by_provider: bool) -> tuple[OrderFilter, str]:
    """The filter that a query means, and what is wrong with it, if anything.

    ``q`` is an id of ours, or else a reseller's own name for an order. Only some may look for
    orders by the provider's name.
    """
    text, problem = query.text("q"), ""
    order_ids, external_id = None, None
    if number := whole_number(text):
        order_ids = (number,)
    elif text:
        external_id = text
    states = None
    if query.text("state"):
        try:
            states = (OrderState(query.text("state")),)
        except ValueError:
            problem = "There is no such state."
    wanted = OrderFilter(
        order_ids=order_ids,
        external_id=external_id,
        link=query.text("link") or None,
        reseller=query.text("reseller") or None,
        provider=(query.text("provider") or None) if by_provider else None,
        states=states,
    )
    return wanted, problem
