"""Rerouting: orders that wait at a provider which cannot take them leave for one that can."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.catalogue.routing import Standings, Want, way_out
from gateway.orders.failover import planned
from gateway.orders.lifecycle import move
from gateway.orders.settling import report, write_changes
from gateway.store import orders, routes, services
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import Service
from schemas.orders import Order, OrderChange, OrderState, QueuePlace

#: So many orders are locked at a time.
BATCH = 100
_FRONT = QueuePlace(datetime.fromtimestamp(0, UTC), 0)


async def reroute_stuck(pool: Pool, standings: Standings) -> set[int]:
    """Move the orders of all stuck providers that have a healthy route elsewhere.

    Returns the providers that orders moved to.
    """
    reached: set[int] = set()
    for provider_id, standing in list(standings.items()):
        others = [
            other for other, known in standings.items() if known.usable and other != provider_id
        ]
        after = _FRONT if standing.stuck and others else None
        while after is not None:
            changes, after = await _reroute_some(pool, provider_id, standings, others, after)
            reached |= {change.provider_id for change in changes}
    return reached


async def _reroute_some(
    pool: Pool,
    provider_id: int,
    standings: Standings,
    others: Sequence[int],
    after: QueuePlace,
) -> tuple[Sequence[OrderChange], QueuePlace | None]:
    """One batch of one provider; with the place to go on after, None at the end of its queue."""
    async with pool.acquire() as conn, transaction(conn):
        places = await routes.lock_waiting_elsewhere(
            conn, provider_id, others, after=after, limit=BATCH
        )
        locked = await orders.lock_orders(conn, [p.order_id for p in places]) if places else []
        known = {
            service_id: await services.get_service(conn, service_id)
            for service_id in {order.service_id for order in locked}
        }
        changes = [
            change
            for order in locked
            if (change := await _rerouted(conn, order, known[order.service_id], standings))
        ]
        await write_changes(conn, changes)
    report(changes)
    return changes, places[-1] if len(places) == BATCH else None


async def _rerouted(
    conn: Connection, order: Order, service: Service | None, standings: Standings
) -> OrderChange | None:
    if service is None:
        return None
    tried = await routes.list_tried(conn, order.id) if order.attempts else {}
    want = Want(order.id, order.quantity, order.rate, tried)
    route = way_out(service, (order.provider_id, order.upstream_service), want, standings)
    if route is None:
        return None
    there = planned(service, route, order.quantity)
    return move(order, OrderState.QUEUED, "provider_stuck_rerouted", route=there)
