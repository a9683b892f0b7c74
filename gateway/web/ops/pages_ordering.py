"""The switch that stops ordering, for all or for one reseller."""

from aiohttp import web

from gateway.resellers.ordering import start_ordering, stop_ordering
from gateway.store import ordering_stops, resellers
from gateway.web.ops.visit import Visit

_HERE = "/ops/ordering"


async def show(visit: Visit) -> web.Response:
    """What is stopped, and the switches."""
    async with visit.services.pool.acquire() as conn:
        stops = await ordering_stops.list_ordering_stops(conn)
        names = [reseller.name for reseller in await resellers.list_resellers(conn)]
    return await visit.page(
        "ordering.html",
        title="Ordering",
        all_stopped=next((stop for stop in stops if stop.reseller is None), None),
        stops=[stop for stop in stops if stop.reseller is not None],
        resellers=[(name, name) for name in names],
    )


async def stop(visit: Visit) -> web.Response:
    """Take no new orders."""
    return await _turn(visit, stopped=True)


async def start(visit: Visit) -> web.Response:
    """Take orders again."""
    return await _turn(visit, stopped=False)


async def _turn(visit: Visit, *, stopped: bool) -> web.Response:
    whose = visit.form.text("reseller") or None

    async def work() -> str:
        turn = stop_ordering if stopped else start_ordering
        changed = await turn(visit.services.pool, whose, visit.warrant())
        state = "stopped" if stopped else "on"
        again = "" if changed else " It was so already."
        return f"Ordering{f' of {whose}' if whose else ''} is {state}.{again}"

    return await visit.act(_HERE, work)


ROUTES = (
    ("GET", _HERE, show),
    ("POST", _HERE + "/stop", stop),
    ("POST", _HERE + "/start", start),
)
