"""Catalogue changes: what upstreams did to their prices and services, and our word on it."""

from aiohttp import web

from gateway.catalogue.effects import effect_of
from gateway.catalogue.pricing import PriceRules
from gateway.catalogue.reviewing import decide
from gateway.errors import UserError
from gateway.operators.acting import require_reason
from gateway.store import changes, prices, services
from gateway.web.ops.fields import numbers_of
from gateway.web.ops.visit import Visit
from schemas.changes import ChangeState

_HERE = "/ops/changes"
_MOST = 200
_WORDS = {"approve": ChangeState.APPROVED, "dismiss": ChangeState.DISMISSED}


async def show(visit: Visit) -> web.Response:
    """What waits, with what it means for our price and margin; and what was decided."""
    provider = visit.query.text("provider") or None
    async with visit.services.pool.acquire() as conn:
        held = await changes.list_changes(
            conn, state=ChangeState.HELD, provider=provider, limit=_MOST
        )
        newest = await changes.list_changes(conn, state=None, provider=provider, limit=50)
        concerned = [change.service_id for change in held if change.service_id is not None]
        found = await services.list_chosen_services(conn, concerned)
        rules = PriceRules(await prices.list_price_rules(conn))
        number = await changes.count_held_changes(conn)
    by_id = {service.id: service for service in found}
    rows = [
        (
            change,
            by_id.get(change.service_id or 0),
            effect_of(change, by_id.get(change.service_id or 0), rules),
        )
        for change in held
    ]
    return await visit.page(
        "changes.html",
        title="Catalogue changes",
        rows=rows,
        number=number,
        newest=[change for change in newest if change.state is not ChangeState.HELD],
        provider=provider,
        **await visit.provider_words(),
    )


async def settle(visit: Visit) -> web.Response:
    """Approve or dismiss the checked changes, all or none."""

    async def work() -> str:
        warrant, state = visit.warrant(), _WORDS.get(visit.form.text("word"))
        require_reason(warrant)
        chosen = numbers_of(visit.form, "change")
        if state is None or not chosen:
            raise UserError("check the changes that are meant, and choose what becomes of them")
        done = await decide(visit.services.pool, chosen, state, warrant)
        return f"{len(done)} changes are {state}."

    return await visit.act(_HERE, work)


ROUTES = (("GET", _HERE, show), ("POST", _HERE, settle))
