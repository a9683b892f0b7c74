"""One's own account: password, second factor, sessions."""

from aiohttp import web

from gateway.errors import UserError
from gateway.operators import sessions
from gateway.web.ops.pages_sign_in import enrol_page
from gateway.web.ops.visit import Visit
from schemas.operator_accounts import Tone


async def show(visit: Visit) -> web.Response:
    """The account's page."""
    operator = visit.session.operator
    return await visit.page(
        "account.html",
        title="Your account",
        sessions=await sessions.list_of(visit.services.pool, operator.id),
        own_session=visit.session.id,
        codes_left=await visit.services.own_account.remaining_codes(operator),
    )


async def change_password(visit: Visit) -> web.Response:
    """Set another password; all sessions end, and a new one begins here."""
    form = visit.form
    new, again = form.exact("new"), form.exact("again")
    if new != again:
        return await visit.tell(Tone.BAD, "The two new passwords differ.", "/ops/account")
    if wait := visit.services.attempts.take_code(visit.session.operator.id):
        text = f"Too many attempts. Try again in {wait} seconds."
        return await visit.tell(Tone.BAD, text, "/ops/account")
    try:
        value = await visit.services.own_account.change_password(
            visit.session, form.exact("old"), new, visit.browser
        )
    except UserError as error:
        return await visit.tell_error(error, "/ops/account")
    response = visit.go("/ops/account")
    visit.cookies.give_session(response, value)
    return response


async def set_up_second_factor(visit: Visit) -> web.Response:
    """The QR code for who has no second factor yet, for the password.

    Its form goes the way of a first sign-in.
    """
    operator, services = visit.session.operator, visit.services
    if operator.has_second_factor:
        return await visit.tell(Tone.INFO, "Your second factor is set up.", "/ops/account")
    if wait := services.attempts.take_code(operator.id):
        text = f"Too many attempts. Try again in {wait} seconds."
        return await visit.tell(Tone.BAD, text, "/ops/account")
    try:
        await services.own_account.require_password(operator, visit.form.exact("password"))
    except UserError as error:
        return await visit.tell_error(error, "/ops/account")
    return await enrol_page(visit)


async def make_recovery_codes(visit: Visit) -> web.Response:
    """Fresh recovery codes, for the password."""
    if wait := visit.services.attempts.take_code(visit.session.operator.id):
        text = f"Too many attempts. Try again in {wait} seconds."
        return await visit.tell(Tone.BAD, text, "/ops/account")
    try:
        found = await visit.services.own_account.recovery_codes(
            visit.session, visit.form.exact("password"), visit.browser
        )
    except UserError as error:
        return await visit.tell_error(error, "/ops/account")
    return await visit.page("recovery_codes.html", title="Recovery codes", codes=found)


async def end_session(visit: Visit) -> web.Response:
    """End one of one's own sessions."""
    operator_id = visit.session.operator.id
    ended = await sessions.end(visit.services.pool, operator_id, visit.number())
    if visit.number() == visit.session.id:
        return visit.go("/ops/sign-in")
    text = "That session has ended." if ended else "That session was over already."
    return await visit.tell(Tone.GOOD, text, "/ops/account")


ROUTES = (
    ("GET", "/ops/account", show),
    ("POST", "/ops/account/password", change_password),
    ("POST", "/ops/account/second-factor", set_up_second_factor),
    ("POST", "/ops/account/recovery-codes", make_recovery_codes),
    ("POST", "/ops/account/sessions/{id}/end", end_session),
)
