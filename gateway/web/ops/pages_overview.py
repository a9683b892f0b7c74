"""The overview: whether money flows, and what needs a person now."""

from aiohttp import web

from gateway.store import add_outcomes, doubts, orders, overview
from gateway.web.ops import charts
from gateway.web.ops.visit import Visit
from schemas.orders import OPEN_STATES, OrderState

_REFRESH_SECONDS = 5
#: By name: how many steps of how many seconds.
_REFUSALS = ("refused", "limited", "shed", "failed")
_SPANS = {"hour": (60, 60), "day": (96, 900)}


async def show(visit: Visit) -> web.Response:
    """The overview of the last hour or day."""
    chosen = visit.query.text("span")
    chosen = chosen if chosen in _SPANS else "hour"
    steps, seconds = _SPANS[chosen]
    async with visit.services.pool.acquire() as conn:
        times = await overview.list_orders_of_time(conn, steps=steps, step_seconds=seconds)
        asked = await add_outcomes.list_add_outcomes(conn, steps=steps, step_seconds=seconds)
        counted = await orders.count_open_orders(conn)
        doubtful = await doubts.list_doubtful_orders(conn, 100)
    # The step that runs is not over: as the end of a line it would look like a fall.
    whole = times[:-1]
    moments = [time.at for time in whole]
    return await visit.page(
        "overview.html",
        title="Overview",
        refresh=_REFRESH_SECONDS,
        span_name=chosen,
        spans=list(_SPANS),
        accepted=sum(time.accepted for time in times),
        revenue=sum(time.revenue for time in times),
        cost=sum(time.cost for time in times),
        orders_chart=charts.plot(
            moments,
            [charts.Line("orders", [time.accepted * 60 / seconds for time in whole])],
            unit="a minute",
        ),
        money_chart=charts.plot(
            moments,
            [
                charts.Line("revenue", [time.revenue / 1_000_000 for time in whole]),
                charts.Line("cost", [time.cost / 1_000_000 for time in whole]),
            ],
            unit=visit.services.settings.currency,
        ),
        asked=sum(sum(outcomes.values()) for _, outcomes in asked),
        answered=sum(outcomes.get("answered", 0) for _, outcomes in asked),
        outcomes_chart=charts.plot(
            [at for at, _ in asked],
            [
                charts.Line(name, [outcomes.get(name, 0) * 60 / seconds for _, outcomes in asked])
                for name in _REFUSALS
            ],
            unit="a minute",
        ),
        states=[(state, *counted.get(state, (0, 0.0))) for state in _in_order()],
        doubtful=doubtful,
    )


def _in_order() -> list[OrderState]:
    return [state for state in OrderState if state in OPEN_STATES]


ROUTES = (("GET", "/ops", show),)
