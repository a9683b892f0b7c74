"""The operators' log: what was done, by whom, to what, and why."""

from aiohttp import web

from gateway.store import operator_actions
from gateway.web.ops.visit import Visit
from schemas.operators import Subject

_ROWS = 50


async def show(visit: Visit) -> web.Response:
    """The newest rows, of one actor or one subject where asked for."""
    query = visit.query
    kind, which, actor = query.text("kind"), query.text("id"), query.text("actor")
    before = query.text("before")
    async with visit.services.pool.acquire() as conn:
        rows = await operator_actions.list_actions(
            conn,
            subject=Subject(kind, which) if kind and which else None,
            actor=actor or None,
            before_id=int(before) if before.isdecimal() and len(before) < 18 else None,
            limit=_ROWS + 1,
        )
    return await visit.page(
        "log.html",
        title="Operators' log",
        rows=rows[:_ROWS],
        more=rows[_ROWS - 1].id if len(rows) > _ROWS else None,
        kind=kind,
        which=which,
        actor=actor,
    )


ROUTES = (("GET", "/ops/log", show),)
