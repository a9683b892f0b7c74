"""Signing in: password, one-time code, welcome link, setting up the second factor."""

from aiohttp import web

from gateway.errors import UserError
from gateway.operators.accounts import account_name
from gateway.operators.codes import enrolment_uri
from gateway.operators.passwords import SHORTEST, BadPassword, TooManyStrangers
from gateway.operators.signing_in import Begun
from gateway.web.addresses import neighbourhood, read_address
from gateway.web.ops.qr_code import qr_path
from gateway.web.ops.visit import Visit, sentence
from schemas.operator_accounts import Stage, Tone

_WRONG = "Name or password is wrong."
_WRONG_CODE = "This code is wrong, or was used already."


async def to_console(visit: Visit) -> web.Response:
    """The bare host leads to the console."""
    return visit.go("/ops")


async def show_sign_in(visit: Visit) -> web.Response:
    """The form for name and password."""
    return await _sign_in_page(visit)


async def _sign_in_page(
    visit: Visit, problem: str = "", status: int = 200, name: str = ""
) -> web.Response:
    return await visit.page(
        "sign_in.html", title="Sign in", status=status, problem=problem, name=name
    )


async def sign_in(visit: Visit) -> web.Response:
    """Check name and password."""
    account, attempts = account_name(visit.form.text("name")), visit.services.attempts
    source = neighbourhood(read_address(visit.browser.address or ""))
    mark = visit.cookies.known(visit.request)
    if wait := attempts.take(source, account, mark):
        return await _sign_in_page(visit, _too_many(wait), 429, account)
    try:
        begun = await visit.services.signing_in.with_password(
            account,
            visit.form.exact("password"),
            visit.browser,
            known=attempts.knows(account, mark),
        )
    except TooManyStrangers as error:
        return await _sign_in_page(visit, sentence(error), 429, account)
    if begun is None:
        return await _sign_in_page(visit, _WRONG, 403, account)
    return _go_on(visit, begun, account)


def _too_many(wait: int) -> str:
    return f"Too many attempts. Try again in {wait} seconds."


def _go_on(visit: Visit, begun: Begun, account: str) -> web.Response:
    where = {Stage.CODE: "/ops/code", Stage.ENROL: "/ops/enrol", Stage.FULL: "/ops"}
    response = visit.go(where[begun.stage])
    visit.cookies.give_session(response, begun.value)
    if begun.stage is Stage.FULL:
        visit.cookies.give_known(response, visit.services.attempts.mark_for(account))
    return response


async def show_code(visit: Visit) -> web.Response:
    """The form for a one-time code."""
    return await visit.page("code.html", title="One-time code", problem="")


async def enter_code(visit: Visit) -> web.Response:
    """Check a one-time code, or a recovery code."""
    operator, problem, status = visit.session.operator, _WRONG_CODE, 403
    if wait := visit.services.attempts.take_code(operator.id):
        problem, status = _too_many(wait), 429
    else:
        begun = await visit.services.signing_in.with_code(
            visit.session, visit.form.text("code"), visit.browser
        )
        if begun is not None:
            return _go_on(visit, begun, operator.name)
    return await visit.page("code.html", title="One-time code", status=status, problem=problem)


async def show_welcome(visit: Visit) -> web.Response:
    """The form behind a welcome link, which sets a password. Opening it does not use it up."""
    return await _welcome_page(visit)


async def _welcome_page(visit: Visit, problem: str = "", status: int = 200) -> web.Response:
    operator = await visit.services.signing_in.welcomed(visit.place("token"))
    if operator is None:
        text = "This link was used, or is older than a day. Ask an owner for another one."
        return await visit.page("problem.html", title="An old link", status=410, text=text)
    return await visit.page(
        "welcome.html",
        title="Welcome",
        status=status,
        name=operator.name,
        problem=problem,
        shortest=SHORTEST,
    )


async def use_welcome(visit: Visit) -> web.Response:
    """Set the password, and go on as with it."""
    first, second = visit.form.exact("password"), visit.form.exact("again")
    if first != second:
        return await _welcome_page(visit, "The two passwords differ.", 422)
    token = visit.place("token")
    operator = await visit.services.signing_in.welcomed(token)
    try:
        begun = await visit.services.signing_in.with_welcome(token, first, visit.browser)
    except BadPassword as error:
        return await _welcome_page(visit, sentence(error), 422)
    if begun is None or operator is None:
        return await _welcome_page(visit)
    return _go_on(visit, begun, operator.name)


async def show_enrol(visit: Visit) -> web.Response:
    """The QR code of a second factor that has to be set up before anything else."""
    return visit.go("/ops/account") if visit.signed_in else await enrol_page(visit)


async def enrol_page(visit: Visit, problem: str = "", status: int = 200) -> web.Response:
    """The QR code, and the form for the first code."""
    seed = visit.services.own_account.seed_for(visit.cookie)
    uri = enrolment_uri(seed, visit.session.operator.name)
    size, path = qr_path(uri)
    return await visit.page(
        "enrol.html",
        title="Second factor",
        status=status,
        problem=problem,
        seed=" ".join(seed[i : i + 4] for i in range(0, len(seed), 4)),
        size=size,
        path=path,
    )


async def enrol(visit: Visit) -> web.Response:
    """Set the second factor up; shows the recovery codes, once."""
    operator = visit.session.operator
    if wait := visit.services.attempts.take_code(operator.id):
        return await _enrol_again(visit, _too_many(wait), 429)
    try:
        value, found = await visit.services.own_account.confirm_seed(
            visit.session, visit.cookie, visit.form.text("code"), visit.browser
        )
    except UserError as error:
        return await _enrol_again(visit, sentence(error), 422)
    response = await visit.page("recovery_codes.html", title="Recovery codes", codes=found)
    visit.cookies.give_session(response, value)
    visit.cookies.give_known(response, visit.services.attempts.mark_for(operator.name))
    return response


async def _enrol_again(visit: Visit, problem: str, status: int) -> web.Response:
    if visit.signed_in:
        # The QR code is shown for the password alone.
        return await visit.tell(Tone.BAD, problem, "/ops/account")
    return await enrol_page(visit, problem, status)


async def sign_out(visit: Visit) -> web.Response:
    """End this session."""
    await visit.services.signing_in.leave(visit.session)
    response = visit.go("/ops/sign-in")
    visit.cookies.end_session(response)
    return response


ROUTES = (
    ("GET", "/", to_console),
    ("GET", "/ops/sign-in", show_sign_in),
    ("POST", "/ops/sign-in", sign_in),
    ("GET", "/ops/welcome/{token}", show_welcome),
    ("POST", "/ops/welcome/{token}", use_welcome),
    ("GET", "/ops/code", show_code),
    ("POST", "/ops/code", enter_code),
    ("GET", "/ops/enrol", show_enrol),
    ("POST", "/ops/enrol", enrol),
    ("POST", "/ops/sign-out", sign_out),
)
