"""Bulk actions: one deed on all orders of a filter, seen before it is done."""

import re

from aiohttp import web

from gateway.errors import UserError
from gateway.operators.acting import require_reason
from gateway.operators.job_kinds import bulk_arguments
from gateway.operators.jobs import ask_for_job
from gateway.orders.bulk import Bulk, find_orders, run_bulk
from gateway.web.ops.forms import Form
from gateway.web.ops.order_fields import filter_of
from gateway.web.ops.visit import Visit, sentence
from schemas.doubts import Decision
from schemas.jobs import JobKind
from schemas.order_work import Deed, OrderAction, SeenOrder
from schemas.orders import OrderState

_HERE = "/ops/bulk"
#: What a preview looks at while somebody waits; more is done at the command line, or in parts.
_MOST = 1_000
#: What each deed needs of who does it, as for a single order.
_ROUTES = {
    OrderAction.CANCEL: "POST /ops/orders/{id}/cancel",
    OrderAction.RESEND: "POST /ops/orders/{id}/resend",
    OrderAction.REFUND: "POST /ops/orders/{id}/refund",
    OrderAction.RESOLVE: "POST /ops/orders/{id}/resolve",
}
_WORDS = {
    "cancel": "cancel",
    "resend": "send what waits now",
    "refund": "refund all of it",
    "resolve:not_placed": "resolve: the provider does not have it",
    "resolve:canceled": "resolve: canceled, pay all back",
    "resolve:completed": "resolve: it was delivered",
}
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_FIELDS = ("q", "link", "reseller", "provider", "state", "deed")


def _deed(visit: Visit, form: Form) -> Deed:
    action, _, decision = form.text("deed").partition(":")
    if form.text("deed") not in _offered(visit):
        raise UserError("choose what shall be done, of what your role may do")
    return Deed(OrderAction(action), Decision(decision) if decision else None)


def _offered(visit: Visit) -> dict[str, str]:
    """The deeds that the operator's role may do."""
    return {
        value: text
        for value, text in _WORDS.items()
        if visit.may(_ROUTES[OrderAction(value.partition(":")[0])])
    }


async def show(visit: Visit) -> web.Response:
    """Which orders are meant, and what the deed would do to each of them."""
    form, problem = visit.query, ""
    done: Bulk | None = None
    seen: list[SeenOrder] = []
    if form.text("deed"):
        try:
            seen, done = await _preview(visit, form)
        except UserError as error:
            problem = sentence(error)
    return await visit.page(
        "bulk.html",
        title="Bulk actions",
        asked={name: form.text(name) for name in _FIELDS},
        state_options=[("", "any"), *((s.value, s.replace("_", " ")) for s in OrderState)],
        deed_options=list(_offered(visit).items()),
        words=_WORDS,
        done=done,
        seen=seen,
        problem=problem,
        **await visit.provider_words(),
    )


async def _preview(visit: Visit, form: Form) -> tuple[list[SeenOrder], Bulk]:
    deed = _deed(visit, form)
    wanted, problem = filter_of(form, by_provider=visit.names_providers)
    if problem:
        raise UserError(problem)
    services = visit.services
    seen = await find_orders(services.pool, wanted)
    if len(seen) > _MOST:
        raise UserError(
            f"that means {len(seen)} orders: narrow the filter to {_MOST}, or use "
            "`smm-gateway order bulk`"
        )
    correction_ms = services.settings.tracking.correction_ms
    return seen, await run_bulk(services.pool, seen, deed, None, correction_ms=correction_ms)


def _seen(form: Form) -> list[SeenOrder]:
    """The orders of the preview, as ``id:attempt`` with commas between."""
    pairs = [text.split(":") for text in form.text("orders").split(",")]
    return [
        SeenOrder(*map(int, pair))
        for pair in pairs
        if len(pair) == 2 and all(map(_NUMBER.fullmatch, pair))
    ]


async def start(visit: Visit) -> web.Response:
    """Do it to the orders that were seen, in the background."""
    try:
        require_reason(visit.warrant())
        deed, seen = _deed(visit, visit.form), _seen(visit.form)
        if not 0 < len(seen) <= _MOST:
            raise UserError("look at the orders first")
        job = await ask_for_job(
            visit.services.pool, JobKind.BULK, bulk_arguments(seen, deed), visit.warrant()
        )
    except UserError as error:
        return await visit.tell_error(error, _HERE)
    return visit.go(f"/ops/jobs/{job}")


ROUTES = (("GET", _HERE, show), ("POST", _HERE, start))
