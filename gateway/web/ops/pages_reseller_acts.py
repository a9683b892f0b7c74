"""What operators do to resellers: money, terms, prices and keys. Each acts once for its form."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from gateway.catalogue.price_rules import remove_rule, set_rules
from gateway.config import require_peppers
from gateway.errors import UserError
from gateway.operators.acting import require_reason
from gateway.resellers import accounts
from gateway.resellers.adjusting import decide, move_money
from gateway.resellers.terms import read_expiry, read_limit, read_networks
from gateway.store import confirmations, prices
from gateway.web.ops.fields import amount_of, percent_of
from gateway.web.ops.pages_resellers import HERE, name_of, page_of
from gateway.web.ops.visit import Visit
from schemas.catalogue import PriceRule
from schemas.money import UNIT, Micros, format_amount
from schemas.money_moves import ConfirmationState, MoneyCause, MoneyMove
from schemas.resellers import DuplicatePolicy, KeyTerms, Reseller, Scope

_CONFIRMATIONS = "/ops/confirmations"
_NEWEST = 100


async def create(visit: Visit) -> web.Response:
    """Open an account."""
    house = visit.services.settings.currency
    try:
        async with visit.services.pool.acquire() as conn:
            made = await accounts.create_reseller(
                conn,
                visit.form.text("name"),
                visit.form.text("email"),
                house,
                house,
                visit.warrant(),
            )
    except UserError as error:
        return await visit.tell_error(error, HERE)
    return visit.go(f"{HERE}/{made.id}")


async def _act(visit: Visit, work: Callable[[str], Awaitable[str]]) -> web.Response:
    """Do something to the reseller of the path, for a reason."""
    name = await name_of(visit)

    async def with_reason() -> str:
        require_reason(visit.warrant())
        return await work(name)

    return await visit.act(f"{HERE}/{visit.number()}", with_reason)


async def credit(visit: Visit) -> web.Response:
    """Money that came in."""

    async def work(name: str) -> str:
        amount = amount_of(visit.form, "amount", "Amount")
        return await _move(visit, MoneyMove(name, MoneyCause.TOPUP, amount))

    return await _act(visit, work)


async def adjust(visit: Visit) -> web.Response:
    """Put a mistake right, up or down."""

    async def work(name: str) -> str:
        amount = amount_of(visit.form, "amount", "Amount", signed=True)
        return await _move(visit, MoneyMove(name, MoneyCause.CORRECTION, amount))

    return await _act(visit, work)


async def _move(visit: Visit, move: MoneyMove) -> str:
    services = visit.services
    above = services.settings.operators.confirm_above
    limit = None if above is None else int(above * UNIT)
    done = await move_money(services.pool, move, visit.warrant(), confirm_above=limit)
    amount = f"{format_amount(move.amount)} {services.settings.currency}"
    if isinstance(done, int):
        return f"{amount} waits for a second operator's word, as number {done}."
    return f"{amount} moved: the balance of {done.name} is {format_amount(done.balance)} now."


async def set_terms(visit: Visit) -> web.Response:
    """Change what an account may do, and what it may owe."""

    async def work(name: str) -> str:
        form = visit.form
        limit = read_limit(form.text("limit") or "default")
        try:
            duplicates = DuplicatePolicy(form.text("duplicates"))
        except ValueError:
            raise UserError("choose what becomes of repeated orders") from None
        text_ids, post_only = form.text("text_ids") == "yes", form.text("post_only") == "yes"

        def changed(reseller: Reseller) -> Reseller:
            return replace(
                reseller,
                request_limit=limit,
                duplicates=duplicates,
                text_ids=text_ids,
                post_only=post_only,
            )

        owed: Micros = amount_of(form, "credit_limit", "Credit limit")
        await _change(visit, name, changed, credit_limit=owed)
        return f"The terms of {name} are changed."

    return await _act(visit, work)


async def _change(
    visit: Visit,
    name: str,
    change: Callable[[Reseller], Reseller],
    *,
    credit_limit: Micros | None = None,
) -> None:
    async with visit.services.pool.acquire() as conn:
        await accounts.change_reseller(
            conn, name, change, visit.warrant(), credit_limit=credit_limit
        )


async def suspend(visit: Visit) -> web.Response:
    """Refuse all calls of an account."""

    async def work(name: str) -> str:
        reason = visit.form.text("reason")
        await _change(visit, name, lambda r: replace(r, suspended=True, suspended_reason=reason))
        return f"{name} is suspended; its keys are refused within seconds."

    return await _act(visit, work)


async def resume(visit: Visit) -> web.Response:
    """Answer the calls of an account again."""

    async def work(name: str) -> str:
        await _change(visit, name, lambda r: replace(r, suspended=False, suspended_reason=None))
        return f"{name} may work again."

    return await _act(visit, work)


async def set_price(visit: Visit) -> web.Response:
    """A markup of its own for all that a reseller orders; an empty one gives it up."""

    async def work(name: str) -> str:
        services, markup = visit.services, percent_of(visit.form, "markup", "Markup")
        async with services.pool.acquire() as conn:
            reseller = await accounts.find_reseller(conn, name)
            scope = PriceRule(0, Decimal(0), reseller_id=reseller.id).scope
            rules = await prices.list_price_rules(conn)
        before = next((rule for rule in rules if rule.scope == scope), None)
        if markup is not None:
            rule = PriceRule(0, markup, reseller_id=reseller.id)
            await set_rules(services.pool, [rule], visit.warrant())
            return f"{name} pays {markup.normalize():f} % on the cost, where no rule says more."
        if before is None:
            raise UserError("write a markup; there is none of its own to give up")
        await remove_rule(services.pool, before.id, visit.warrant())
        return f"{name} pays what everybody pays."

    return await _act(visit, work)


async def issue_key(visit: Visit) -> web.Response:
    """A new key; its text is shown on this answer alone."""
    name = await name_of(visit)
    try:
        terms = _terms(visit)
        async with visit.services.pool.acquire() as conn:
            peppers = require_peppers(visit.services.settings)
            _, key = await accounts.issue_key(conn, name, peppers, visit.warrant(), terms)
    except UserError as error:
        return await visit.tell_error(error, f"{HERE}/{visit.number()}")
    return await page_of(visit, key=key)


def _terms(visit: Visit) -> KeyTerms:
    form = visit.form
    try:
        scope = Scope(form.text("scope"))
    except ValueError:
        raise UserError("choose what the key may do") from None
    networks = read_networks(form.text("networks") or "any")
    return KeyTerms(
        scope, networks, read_expiry(form.text("expires") or "never", datetime.now(UTC))
    )


async def revoke_key(visit: Visit) -> web.Response:
    """End a key."""

    async def work(name: str) -> str:
        key_id = visit.number("key")
        async with visit.services.pool.acquire() as conn:
            if key_id not in {key.id for key in await accounts.reseller_keys(conn, name)}:
                raise UserError(f"{name} has no key {key_id}")
            await accounts.revoke_key(conn, key_id, visit.warrant())
        return f"Key {key_id} is revoked; it is refused within seconds."

    return await _act(visit, work)


async def show_confirmations(visit: Visit) -> web.Response:
    """Amounts that wait for a second operator's word, and those that were decided."""
    async with visit.services.pool.acquire() as conn:
        found = await confirmations.list_confirmations(conn, waiting=False, limit=_NEWEST)
    waiting = [one for one in found if one.state is ConfirmationState.WAITING]
    return await visit.page(
        "confirmations.html",
        title="Amounts to confirm",
        waiting=waiting,
        decided=[one for one in found if one.state is not ConfirmationState.WAITING],
        confirm_above=visit.services.settings.operators.confirm_above,
    )


async def confirm(visit: Visit) -> web.Response:
    """Move the money that another operator has asked for, or leave it where it is."""

    async def work() -> str:
        yes = visit.form.text("word") == "confirm"
        done = await decide(visit.services.pool, visit.number(), visit.warrant(), confirmed=yes)
        return f"{format_amount(done.amount)} for {done.reseller}: {done.state}."

    return await visit.act(_CONFIRMATIONS, work)


ROUTES = (
    ("POST", HERE, create),
    ("POST", HERE + "/{id}/credit", credit),
    ("POST", HERE + "/{id}/adjust", adjust),
    ("POST", HERE + "/{id}/terms", set_terms),
    ("POST", HERE + "/{id}/suspend", suspend),
    ("POST", HERE + "/{id}/resume", resume),
    ("POST", HERE + "/{id}/price", set_price),
    ("POST", HERE + "/{id}/keys", issue_key),
    ("POST", HERE + "/{id}/keys/{key}/revoke", revoke_key),
    ("GET", _CONFIRMATIONS, show_confirmations),
    ("POST", _CONFIRMATIONS + "/{id}", confirm),
)
