"""Operators: who works here, and what they may do. For owners."""

from aiohttp import web

from gateway.errors import UserError
from gateway.operators import accounts
from gateway.web.ops.visit import Visit
from schemas.operators import Role

_HERE = "/ops/operators"


async def show(visit: Visit) -> web.Response:
    """All operators, and the form for another one."""
    return await _page(visit)


async def _page(visit: Visit, link: str = "", name: str = "") -> web.Response:
    found = await accounts.list_operators(visit.services.pool)
    return await visit.page(
        "operators.html",
        title="Operators",
        operators=found,
        role_options=[(role, role) for role in Role],
        link=link,
        name=name,
        hours=accounts.WELCOME_HOURS,
    )


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UserError("choose one of the roles") from None


async def create(visit: Visit) -> web.Response:
    """Open an account; its welcome link is shown on this answer alone."""
    name = visit.form.text("name").casefold()
    try:
        role = _role(visit.form.text("role"))
        token = await accounts.create_operator(visit.services.pool, visit.warrant(), name, role)
    except UserError as error:
        return await visit.tell_error(error, _HERE)
    return await _page(visit, f"{visit.base}/ops/welcome/{token}", name)


async def change(visit: Visit) -> web.Response:
    """Change a role, or whether somebody may sign in."""
    name = visit.place("name")

    async def work() -> str:
        role, enabled = _role(visit.form.text("role")), visit.form.text("enabled") == "yes"
        await accounts.change_operator(
            visit.services.pool, visit.warrant(), name, role=role, enabled=enabled
        )
        return f"{name} is {role} now and {'may' if enabled else 'may not'} sign in."

    return await visit.act(_HERE, work)


async def reset(visit: Visit) -> web.Response:
    """A new welcome link, and the second factor gone where asked for."""
    name, services = visit.place("name"), visit.services
    seeds = services.seeds if visit.form.text("second_factor") == "forget" else None
    try:
        token = await accounts.reset_operator(services.pool, visit.warrant(), name, seeds)
    except UserError as error:
        return await visit.tell_error(error, _HERE)
    return await _page(visit, f"{visit.base}/ops/welcome/{token}", name)


async def end_sessions(visit: Visit) -> web.Response:
    """End all sessions of an operator."""
    name = visit.place("name")

    async def work() -> str:
        ended = await accounts.end_sessions(visit.services.pool, visit.warrant(), name)
        return f"{ended} sessions of {name} have ended."

    return await visit.act(_HERE, work)


ROUTES = (
    ("GET", _HERE, show),
    ("POST", _HERE, create),
    ("POST", _HERE + "/{name}", change),
    ("POST", _HERE + "/{name}/reset", reset),
    ("POST", _HERE + "/{name}/end-sessions", end_sessions),
)
