"""Prices: the rules, and many prices or services at once, seen before they are done."""

from decimal import Decimal

from aiohttp import web

from gateway.catalogue.importing import Choice, Imported, import_services
from gateway.catalogue.price_rules import (
    Chosen,
    PriceChange,
    markup_rules,
    preview_rules,
    remove_rule,
)
from gateway.catalogue.upstreams import adapt, find_provider, timeouts
from gateway.errors import UserError
from gateway.operators.acting import require_reason
from gateway.operators.jobs import ask_for_job
from gateway.store import prices, providers, resellers, services
from gateway.web.ops.fields import percent_of, rate_of
from gateway.web.ops.forms import Form
from gateway.web.ops.visit import Visit, sentence
from providers.account import BadAccount
from providers.errors import ProviderError
from providers.transport import Transport
from schemas.jobs import JobKind
from schemas.money import Micros

_HERE = "/ops/prices"
_IMPORT = "/ops/import"
_SHOWN = 200


async def show(visit: Visit) -> web.Response:
    """All rules, and what a markup on many services would change."""
    form, problem = visit.query, ""
    changes: list[PriceChange] | None = None
    concerned = 0
    try:
        markup = percent_of(form, "percent", "Markup")
        if markup is not None:
            changes, concerned = await _preview(visit, markup)
    except UserError as error:
        problem = sentence(error)
    async with visit.services.pool.acquire() as conn:
        rules = await prices.list_price_rules(conn)
        named = {p.id: p.name for p in await providers.list_providers(conn)}
        known = {r.id: r.name for r in await resellers.list_resellers(conn)}
        categories = sorted({s.category for s in await services.list_services(conn)})
    return await visit.page(
        "prices.html",
        title="Prices",
        rules=sorted(rules, key=lambda rule: tuple(part is None for part in rule.scope)),
        provider_names=named,
        reseller_names=known,
        category_options=[("", "all"), *((c, c) for c in categories)],
        provider_options=[("", "all"), *((n, n) for n in sorted(named.values()))],
        asked={
            n: form.text(n) for n in ("percent", "round", "category", "provider", "type", "search")
        },
        changes=None if changes is None else changes[:_SHOWN],
        changed=len(changes or ()),
        up=sum((c.then or 0) > (c.now or 0) for c in changes or ()),
        concerned=concerned,
        problem=problem,
    )


def _chosen(form: Form) -> Chosen:
    names = ("category", "provider", "type", "search")
    return Chosen(*(form.text(name) or None for name in names))


def _step(form: Form) -> Micros | None:
    return rate_of(form, "round", "Rounding")


async def _preview(visit: Visit, markup: Decimal) -> tuple[list[PriceChange], int]:
    async with visit.services.pool.acquire() as conn:
        rules = await markup_rules(conn, _chosen(visit.query), markup, step=_step(visit.query))
        return await preview_rules(conn, rules), len(rules)


async def mark_up(visit: Visit) -> web.Response:
    """Give many services a markup, in the background."""
    form = visit.form
    try:
        require_reason(visit.warrant())
        markup = percent_of(form, "percent", "Markup")
        if markup is None:
            raise UserError("write the markup in percent")
        given = {
            name: form.text(name) or None for name in ("category", "provider", "type", "search")
        }
        arguments = given | {"percent": str(markup), "step": _step(form)}
        job = await ask_for_job(visit.services.pool, JobKind.MARKUP, arguments, visit.warrant())
    except UserError as error:
        return await visit.tell_error(error, _HERE)
    return visit.go(f"/ops/jobs/{job}")


async def remove(visit: Visit) -> web.Response:
    """Give up a rule."""

    async def work() -> str:
        require_reason(visit.warrant())
        gone = await remove_rule(visit.services.pool, visit.number(), visit.warrant())
        return f"The rule of {gone.markup.normalize():f} % is given up."

    return await visit.act(_HERE, work)


async def show_import(visit: Visit) -> web.Response:
    """What a provider offers, as far as it is chosen, before it is imported."""
    form, problem = visit.query, ""
    found: Imported | None = None
    async with visit.services.pool.acquire() as conn:
        names = [record.name for record in await providers.list_providers(conn)]
    if form.text("provider"):
        try:
            found = await _look(visit, form)
        except (UserError, BadAccount, ProviderError) as error:
            problem = sentence(error)
    asked = ("provider", "ids", "category", "type", "search", "markup")
    return await visit.page(
        "import.html",
        title="Import services",
        provider_options=[(name, name) for name in names],
        asked={name: form.text(name) for name in asked},
        fresh=found.fresh[:_SHOWN] if found else (),
        number=len(found.fresh) if found else 0,
        known=len(found.known) if found else 0,
        refused=found.refused[:_SHOWN] if found else (),
        looked=found is not None,
        problem=problem,
    )


def _ids(form: Form) -> list[str] | None:
    found = sorted({part for part in form.text("ids").replace(",", " ").split() if part})
    return found or None


async def _look(visit: Visit, form: Form) -> Imported:
    services_ = visit.services
    markup = percent_of(form, "markup", "Markup")
    async with services_.pool.acquire() as conn:
        record = await find_provider(conn, form.text("provider"))
    async with Transport(timeouts(services_.settings.dispatch)) as transport:
        catalogue = await adapt(record, transport, services_.keys)[0].services()
    return await import_services(
        services_.pool,
        record,
        catalogue,
        services_.settings,
        visit.warrant(),
        choice=Choice(
            ids=_ids(form),
            category=form.text("category") or None,
            type=form.text("type") or None,
            search=form.text("search") or None,
        ),
        markup_percent=markup,
        dry_run=True,
    )


async def start_import(visit: Visit) -> web.Response:
    """Import what was chosen, in the background."""
    form = visit.form
    try:
        require_reason(visit.warrant())
        markup = percent_of(form, "markup", "Markup")
        async with visit.services.pool.acquire() as conn:
            record = await find_provider(conn, form.text("provider"))
        arguments = {
            "provider": record.name,
            "markup": None if markup is None else str(markup),
            "ids": _ids(form),
            "category": form.text("category") or None,
            "type": form.text("type") or None,
            "search": form.text("search") or None,
        }
        job = await ask_for_job(visit.services.pool, JobKind.IMPORT, arguments, visit.warrant())
    except UserError as error:
        return await visit.tell_error(error, _IMPORT)
    return visit.go(f"/ops/jobs/{job}")


ROUTES = (
    ("GET", _HERE, show),
    ("POST", _HERE + "/markup", mark_up),
    ("POST", _HERE + "/{id}/remove", remove),
    ("GET", _IMPORT, show_import),
    ("POST", _IMPORT, start_import),
)
