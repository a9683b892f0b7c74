"""A visit: one request of an operator, and what it can be answered with."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.errors import UserError
from gateway.operators import sessions
from gateway.operators.acting import AlreadyDone
from gateway.operators.sessions import Browser
from gateway.store import order_story
from gateway.web.ops.access import NEEDS, may, menu_of, section_of
from gateway.web.ops.cookies import Cookies
from gateway.web.ops.forms import REQUEST_FIELD, Form, new_request, token_for
from gateway.web.ops.services import Services
from schemas.operator_accounts import Notice, Session, Stage, Tone
from schemas.operators import Actor, Role, Warrant


class NotFound(Exception):
    """What was asked for is not there; the message says what."""


class Visit:
    """One request. ``session`` is None on pages that anyone may see."""

    def __init__(
        self,
        services: Services,
        request: web.Request,
        *,
        cookie: str,
        session: Session | None,
        form: Form,
        browser: Browser,
        cookies: Cookies,
    ) -> None:
        self.services = services
        self.request = request
        self.cookie = cookie
        self.form = form
        self.browser = browser
        self.cookies = cookies
        self._session = session

    @property
    def session(self) -> Session:
        """The session; only for pages that need one."""
        assert self._session is not None
        return self._session

    @property
    def signed_in(self) -> bool:
        """Whether somebody is signed in."""
        return self._session is not None and self._session.stage is Stage.FULL

    @property
    def role(self) -> Role:
        """The role of who is signed in."""
        return self.session.operator.role

    @property
    def query(self) -> Form:
        """The fields of the address."""
        found: dict[str, list[str]] = {}
        for name, value in self.request.query.items():
            if "\0" not in value:
                found.setdefault(name, []).append(value)
        return Form(found)

    @property
    def base(self) -> str:
        """Where browsers reach the console; in development, where this one has."""
        ops = self.services.settings.ops
        if ops.development:
            return str(self.request.url.origin())
        assert ops.url is not None
        return ops.url

    def place(self, name: str) -> str:
        """A part of the path, as the route names it."""
        return self.request.match_info[name]

    def number(self, name: str = "id") -> int:
        """A number in the path. Raises ``NotFound`` where there is another text."""
        text = self.place(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise NotFound("there is nothing of that number")
        return int(text)

    @property
    def names_providers(self) -> bool:
        """Whether the operator may see providers' names, and so what they answer."""
        return self.role.covers(Role.MANAGER)

    async def provider_words(self) -> dict[str, Any]:
        """For templates: whether providers are named here, and how each is shown.

        Support staff see an alias, never the provider's name.
        """
        named = self.names_providers
        aliases: dict[str, str] = {}
        if not named:
            async with self.services.pool.acquire() as conn:
                aliases = await order_story.list_provider_aliases(conn)

        def shown(name: str) -> str:
            return name if named else aliases.get(name, "a provider")

        return {"names_providers": named, "shown_provider": shown}

    def may(self, route: str) -> bool:
        """Whether the operator may use a route, like ``POST /ops/operators``."""
        return may(self.role, NEEDS[route])

    def actor(self) -> Actor:
        """Who acts."""
        operator = self.session.operator
        return Actor(operator.name, operator.role, self.browser.address)

    def warrant(self) -> Warrant:
        """Who acts, with the reason and the request of the form."""
        return Warrant(
            self.actor(), self.form.text("reason") or None, self.form.text(REQUEST_FIELD) or None
        )

    async def page(
        self, template: str, *, title: str, status: int = 200, refresh: int = 0, **values: Any
    ) -> web.Response:
        """A page. ``refresh`` is the seconds after which its live parts are fetched anew."""
        session, notice = self._session, None
        if session is not None and session.notice is not None:
            notice = session.notice
            await sessions.leave_notice(self.services.pool, session, None)
        context = {
            "title": title,
            "refresh": refresh,
            "here": self.request.path,
            "section": section_of(self.request.path),
            "notice": notice,
            "operator": session.operator if session else None,
            "menu": menu_of(self.role) if self.signed_in else [],
            "token": token_for(self.services.form_key, self.cookie),
            "new_request": new_request,
            "may": self.may,
            "currency": self.services.settings.currency,
            "development": self.services.settings.ops.development,
        }
        text = self.services.templates.get_template(template).render(context | values)
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")

    def go(self, path: str) -> web.Response:
        """Send the browser to another page of ours."""
        assert path.startswith("/ops")
        return web.Response(status=303, headers={"Location": path})

    async def tell(self, tone: Tone, text: str, path: str) -> web.Response:
        """Send the browser to another page, which tells this line once."""
        await sessions.leave_notice(self.services.pool, self.session, Notice(tone, text))
        return self.go(path)

    async def tell_error(self, error: UserError, path: str) -> web.Response:
        """Send the browser to another page, which tells why nothing was done."""
        tone = Tone.INFO if isinstance(error, AlreadyDone) else Tone.BAD
        return await self.tell(tone, sentence(error), path)

    async def act(self, path: str, work: Callable[[], Awaitable[str]]) -> web.Response:
        """Do what a form asks for, and tell on the page ``path`` what became of it."""
        try:
            return await self.tell(Tone.GOOD, await work(), path)
        except UserError as error:
            return await self.tell_error(error, path)


def sentence(error: Exception) -> str:
    """What an error says, as a sentence."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
