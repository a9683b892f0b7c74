"""The review queue: orders in doubt, what is known of each, and what is suggested."""

from aiohttp import web

from gateway.orders.suggesting import suggested
from gateway.store import doubts
from gateway.web.ops.visit import Visit
from schemas.orders import OrderState

_MOST = 200


async def show(visit: Visit) -> web.Response:
    """Orders that need a person first, then those that are still being looked for."""
    async with visit.services.pool.acquire() as conn:
        found = await doubts.list_doubtful_orders(conn, _MOST)
        charges = await doubts.count_doubtful_charges(conn)
    rows = [(order, suggested(order)) for order in found]
    return await visit.page(
        "review.html",
        title="Review",
        refresh=10,
        waiting=[row for row in rows if row[0].state is OrderState.REVIEW],
        looked_for=[row for row in rows if row[0].state is OrderState.UNKNOWN],
        tied_up=charges.get(OrderState.REVIEW, 0),
        in_doubt=charges.get(OrderState.UNKNOWN, 0),
        **await visit.provider_words(),
    )


ROUTES = (("GET", "/ops/review", show),)
