"""Orders: looking for them, and one order's whole story."""

from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from gateway.catalogue.upstreams import timeouts
from gateway.errors import UserError
from gateway.orders.operator_acts import act_on_order, add_note
from gateway.orders.resolutions import require_known_upstream, resolve_order
from gateway.orders.resolving import IN_DOUBT, Word
from gateway.orders.suggesting import suggested
from gateway.store import (
    attempts,
    cancellations,
    doubts,
    operator_actions,
    order_search,
    order_story,
    refills,
    schedules,
)
from gateway.web.ops.fields import number_of
from gateway.web.ops.order_fields import filter_of
from gateway.web.ops.upstream_words import story_without
from gateway.web.ops.visit import NotFound, Visit
from gateway.web.ops.words import plain
from providers.transport import Transport
from schemas.doubts import Decision
from schemas.money import format_amount
from schemas.operators import Subject
from schemas.order_work import Deed, Effect, OrderAction, Result
from schemas.orders import FINAL_STATES, OrderState

_HERE = "/ops/orders"
_ROWS = 50


async def search(visit: Visit) -> web.Response:
    """The orders that are looked for, the newest first."""
    query = visit.query
    wanted, problem = filter_of(query, by_provider=visit.names_providers)
    before = query.text("before")
    page = int(before) if before.isdecimal() and len(before) < 10 else None
    async with visit.services.pool.acquire() as conn:
        found = await order_search.list_found_orders(conn, wanted, before_id=page, limit=_ROWS + 1)
    return await visit.page(
        "orders.html",
        title="Orders",
        orders=found[:_ROWS],
        more=found[_ROWS - 1].id if len(found) > _ROWS else None,
        asked={name: query.text(name) for name in ("q", "reseller", "provider", "state", "link")},
        state_options=[("", "any"), *((state, plain(state)) for state in OrderState)],
        problem=problem,
        **await visit.provider_words(),
    )


@dataclass(frozen=True, slots=True)
class Deeds:
    """What can be done to an order as it is."""

    cancel: bool
    resend: bool
    resolve: bool
    refund: bool


def _deeds(state: OrderState) -> Deeds:
    return Deeds(
        cancel=state not in FINAL_STATES,
        resend=state is OrderState.QUEUED,
        resolve=state in IN_DOUBT,
        refund=state in (OrderState.COMPLETED, OrderState.PARTIAL),
    )


async def show(visit: Visit) -> web.Response:
    """One order's whole story."""
    number = visit.number()
    async with visit.services.pool.acquire() as conn:
        order = await order_search.get_order(conn, number)
        if order is None:
            raise NotFound(f"There is no order {number}, or it is kept elsewhere by now.")
        story: dict[str, Any] = {
            "events": await order_story.list_events(conn, number),
            "entries": await order_story.list_order_entries(conn, number),
            "attempts": await attempts.list_attempts(conn, number),
            "bodies": await doubts.list_attempt_bodies(conn, number),
            "refills": await refills.list_refills(conn, state=None, order_id=number, limit=20),
            "cancellation": await cancellations.get_cancellation(conn, number),
            "runs": await schedules.list_runs(conn, [number]),
            "look": await doubts.get_look(conn, number),
            "resolutions": await doubts.list_resolutions(conn, number),
            "acts": await operator_actions.list_actions(
                conn, subject=Subject("order", str(number)), limit=20
            ),
            "doubtful": await doubts.list_doubtful_orders(conn, 1_000),
        }
    doubtful = next((d for d in story.pop("doubtful") if d.order_id == number), None)
    if not visit.names_providers:
        order = replace(order, upstream_service="")
        story |= story_without(story)
    return await visit.page(
        "order.html",
        title=f"Order {number}",
        refresh=0 if order.state in FINAL_STATES else 5,
        order=order,
        deeds=_deeds(order.state),
        suggestion=suggested(doubtful) if doubtful else None,
        **story,
        **await visit.provider_words(),
    )


def told(effect: Effect) -> str:
    """What a deed has done, in words.

    Raises:
        UserError: when it was refused.
    """
    if effect.result is Result.REFUSED:
        raise UserError(effect.why or "that cannot be done to this order")
    if effect.result is Result.ASKED:
        return "Its upstream is asked; money moves when the order ends there."
    if effect.result is Result.STOPPED:
        return "No further runs are made, and their price is paid back."
    if effect.result is Result.UNCHANGED:
        return "It is so already: nothing was changed."
    state = plain(str(effect.after))
    paid = f" {format_amount(effect.refund)} was paid back." if effect.refund else ""
    return f"The order is {state} now.{paid}"


async def _do(visit: Visit, deed: Deed) -> web.Response:
    number, services = visit.number(), visit.services
    watched = services.settings.tracking.correction_ms

    async def work() -> str:
        return told(
            await act_on_order(services.pool, number, deed, visit.warrant(), correction_ms=watched)
        )

    return await visit.act(f"{_HERE}/{number}", work)


async def cancel(visit: Visit) -> web.Response:
    """Cancel an order, or ask its upstream to."""
    return await _do(visit, Deed(OrderAction.CANCEL))


async def resend(visit: Visit) -> web.Response:
    """Send an order that waits now."""
    return await _do(visit, Deed(OrderAction.RESEND))


async def refund(visit: Visit) -> web.Response:
    """Pay back an ended order, or the part of it that was not delivered."""
    number = visit.number()
    text = visit.form.text("remains")
    if text and not (text.isdecimal() and text.isascii() and len(text) < 10):
        error = UserError("what was not delivered is a whole number; leave it empty for all of it")
        return await visit.tell_error(error, f"{_HERE}/{number}")
    return await _do(visit, Deed(OrderAction.REFUND, remains=int(text) if text else None))


async def note(visit: Visit) -> web.Response:
    """Keep a note on an order."""
    number = visit.number()

    async def work() -> str:
        await add_note(visit.services.pool, number, visit.warrant())
        return "The note is kept."

    return await visit.act(f"{_HERE}/{number}", work)


async def resolve(visit: Visit) -> web.Response:
    """Decide about an order in doubt."""
    number, form = visit.number(), visit.form

    async def work() -> str:
        word = _word(visit)
        if word.upstream_id is not None and form.text("unchecked") != "yes":
            await _require_there(visit, number, word.upstream_id)
        done = await resolve_order(
            visit.services.pool,
            number,
            word,
            visit.warrant(),
            correction_ms=visit.services.settings.tracking.correction_ms,
        )
        state = plain(done.state)
        again = " It was resolved so before." if done.again else ""
        return f"Order {number} is {state} now.{again}"

    back = "/ops/review" if form.text("back") == "review" else f"{_HERE}/{number}"
    return await visit.act(back, work)


def _word(visit: Visit) -> Word:
    form = visit.form
    try:
        decision = Decision(form.text("decision"))
    except ValueError:
        raise UserError("choose what became of the order") from None
    reason, upstream_id, remains = form.text("reason"), form.text("upstream_id"), None
    if not reason:
        raise UserError("say what you know: a decision needs a reason")
    if decision is Decision.PLACED and not upstream_id:
        raise UserError("say under which id the upstream has it")
    if decision is Decision.PARTIAL:
        text = form.text("remains")
        if not (text.isdecimal() and text.isascii() and len(text) < 10):
            raise UserError("say how much was not delivered, as a whole number")
        remains = int(text)
    placed = upstream_id if decision is Decision.PLACED else None
    attempt = number_of(form, "attempt", "Attempt")
    if attempt is None:
        raise UserError("look at the order first: a decision is about the attempt that was seen")
    return Word(decision, reason, upstream_id=placed, remains=remains, attempt=attempt)


async def _require_there(visit: Visit, number: int, upstream_id: str) -> None:
    services = visit.services
    async with Transport(timeouts(services.settings.dispatch)) as transport:
        await require_known_upstream(services.pool, transport, services.keys, number, upstream_id)


ROUTES = (
    ("GET", _HERE, search),
    ("GET", _HERE + "/{id}", show),
    ("POST", _HERE + "/{id}/cancel", cancel),
    ("POST", _HERE + "/{id}/resend", resend),
    ("POST", _HERE + "/{id}/refund", refund),
    ("POST", _HERE + "/{id}/note", note),
    ("POST", _HERE + "/{id}/resolve", resolve),
)
