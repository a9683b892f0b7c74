"""Resellers: all of them, and one with its money, terms and keys."""

from aiohttp import web

from gateway.catalogue.snapshot import Catalogue
from gateway.resellers import accounts
from gateway.resellers.terms import limit_text
from gateway.resellers.viewing import view_as
from gateway.store import confirmations, ordering_stops, prices, resellers, statements
from gateway.web.ops.visit import NotFound, Visit
from schemas.operators import Warrant
from schemas.resellers import DuplicatePolicy, Reseller, Scope

HERE = "/ops/resellers"
_MOST = 100
_ROWS = 50
_ORDERS_SEEN = 20


async def show_all(visit: Visit) -> web.Response:
    """All resellers, or those with a text in their name or address."""
    asked = visit.query.text("q").casefold()
    async with visit.services.pool.acquire() as conn:
        everybody = await resellers.list_resellers(conn)
        stops = await ordering_stops.list_ordering_stops(conn)
        waiting = await confirmations.list_confirmations(conn, waiting=True, limit=100)
    found = [r for r in everybody if asked in r.name.casefold() or asked in r.email.casefold()]
    return await visit.page(
        "resellers.html",
        title="Resellers",
        asked=visit.query.text("q"),
        resellers=found[:_MOST],
        number=len(found),
        held=sum(r.balance for r in everybody if r.balance > 0),
        owed=-sum(r.balance for r in everybody if r.balance < 0),
        stopped={stop.reseller for stop in stops},
        waiting=len(waiting),
        suspended=sum(r.suspended for r in everybody),
    )


async def name_of(visit: Visit) -> str:
    """The name of the reseller whose id is in the path. Raises ``NotFound``."""
    async with visit.services.pool.acquire() as conn:
        name = await resellers.get_reseller_name(conn, visit.number())
    if name is None:
        raise NotFound("There is no such reseller.")
    return name


async def show(visit: Visit) -> web.Response:
    """One reseller."""
    return await page_of(visit)


async def page_of(visit: Visit, *, key: str = "") -> web.Response:
    """The page of one reseller; a new ``key`` is shown on this answer alone."""
    name, before = await name_of(visit), visit.query.text("before")
    position = int(before) if before.isdecimal() and len(before) < 18 else None
    async with visit.services.pool.acquire() as conn:
        reseller = await accounts.find_reseller(conn, name)
        keys = await accounts.reseller_keys(conn, name)
        rows = await statements.list_statement(conn, reseller.id, before=position, limit=_ROWS + 1)
        rules = [r for r in await prices.list_price_rules(conn) if r.reseller_id == reseller.id]
        stops = await ordering_stops.list_ordering_stops(conn)
        waiting = await confirmations.list_confirmations(conn, waiting=True, limit=100)
    above = visit.services.settings.operators.confirm_above
    return await visit.page(
        "reseller.html",
        title=reseller.name,
        reseller=reseller,
        key=key,
        keys=keys,
        rows=rows[:_ROWS],
        more=rows[_ROWS - 1].position if len(rows) > _ROWS else None,
        rules=rules,
        general=next(
            (r for r in rules if (r.service_id or r.category or r.provider_id) is None), None
        ),
        stop=next((s for s in stops if s.reseller == name), None),
        waiting=[w for w in waiting if w.reseller == name],
        confirm_above=above,
        limit=_limit(reseller),
        duplicates=[(policy, policy.replace("_", " ")) for policy in DuplicatePolicy],
        scopes=[(scope, scope) for scope in reversed(Scope)],
    )


def _limit(reseller: Reseller) -> str:
    return limit_text(reseller.request_limit)


async def view(visit: Visit) -> web.Response:
    """The account as its reseller sees it; that somebody looked is logged each time."""
    name = await name_of(visit)
    looked = Warrant(visit.actor(), visit.form.text("reason") or None)
    seen = await view_as(visit.services.pool, Catalogue(), name, looked, limit=_ORDERS_SEEN)
    return await visit.page(
        "reseller_view.html", title=f"As {name} sees it", reseller=name, seen=seen
    )


ROUTES = (
    ("GET", HERE, show_all),
    ("GET", HERE + "/{id}", show),
    ("POST", HERE + "/{id}/view", view),
)
