"""The console's application: routes, the guard before them, and the headers behind them."""

from collections.abc import Awaitable, Callable, Iterable

import structlog
from aiohttp import web

from gateway.errors import UserError
from gateway.operators import sessions
from gateway.operators.sessions import Browser
from gateway.store.connection import TRANSIENT
from gateway.web.addresses import client_address
from gateway.web.ops import (
    pages_account,
    pages_bulk,
    pages_changes,
    pages_jobs,
    pages_log,
    pages_operators,
    pages_ordering,
    pages_orders,
    pages_overview,
    pages_prices,
    pages_providers,
    pages_reports,
    pages_reseller_acts,
    pages_resellers,
    pages_review,
    pages_services,
    pages_sign_in,
    static_files,
)
from gateway.web.ops.access import NEEDS, Open, may
from gateway.web.ops.at_home import only_this_machine
from gateway.web.ops.cookies import Cookies
from gateway.web.ops.forms import (
    LARGEST_FORM,
    TOKEN_FIELD,
    Form,
    comes_from_here,
    is_token,
    read_form,
)
from gateway.web.ops.services import Services
from gateway.web.ops.visit import NotFound, Visit
from schemas.operator_accounts import Session, Stage

log = structlog.get_logger()

PAGES = (
    static_files,
    pages_sign_in,
    pages_account,
    pages_overview,
    pages_orders,
    pages_review,
    pages_ordering,
    pages_bulk,
    pages_jobs,
    pages_providers,
    pages_changes,
    pages_services,
    pages_prices,
    pages_resellers,
    pages_reseller_acts,
    pages_reports,
    pages_operators,
    pages_log,
)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers would send forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HSTS = "max-age=63072000; includeSubDomains"
#: Where to go on, by how far signing in has come.
_STEPS = {Stage.CODE: "/ops/code", Stage.ENROL: "/ops/enrol", Stage.FULL: "/ops"}

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


class Console:
    """Lets requests through to their pages, and nothing else."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cookies = Cookies(secure=not services.settings.ops.development)

    def app(self) -> web.Application:
        """The application of the console's listener.

        Raises:
            ValueError: for a page whose need is not in the table, and the other way around.
        """
        at_home = [only_this_machine] if self._services.settings.ops.development else []
        app = web.Application(client_max_size=LARGEST_FORM, middlewares=at_home)
        named = set()
        for method, path, handler in _routes():
            route = f"{method} {path}"
            if route not in NEEDS:
                raise ValueError(f"access.NEEDS does not say who may use {route}")
            app.router.add_route(method, path, self._guarded(route, handler))
            named.add(route)
        if idle := NEEDS.keys() - named:
            raise ValueError(f"access.NEEDS names routes that are not there: {sorted(idle)}")
        app.router.add_route("*", "/{anything:.*}", self._nothing_here)
        app.on_response_prepare.append(self._add_headers)
        return app

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        if not self._services.settings.ops.development:
            response.headers["Strict-Transport-Security"] = _HSTS

    def _guarded(
        self, route: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._admit(request, route, handler)
            except NotFound as error:
                return await self._problem(request, 404, "Not found", str(error))
            except web.HTTPRequestEntityTooLarge:
                return await self._problem(request, 413, "Too large", "The form is too large.")
            except UserError as error:
                return await self._problem(request, 422, "This cannot be done", str(error))
            except TRANSIENT as error:
                log.warning("console.failed", route=route, reason=type(error).__name__)
                text = "The database does not answer just now. Try again in a moment."
                return await self._problem(request, 503, "Not now", text)
            except web.HTTPException:
                raise
            except Exception:
                log.exception("console.failed", route=route)
                text = "Something is wrong here, and the log says what."
                return await self._problem(request, 500, "An error", text)

        return handle

    async def _admit(
        self, request: web.Request, route: str, handler: Handler
    ) -> web.StreamResponse:
        need, services = NEEDS[route], self._services
        cookie, session = self._cookies.session(request), None
        if cookie and need is not Open.ANYONE:
            # A page that refreshes itself must not keep a session alive for ever.
            is_look = "Ops-Refresh" not in request.headers
            session = await sessions.find(services.pool, cookie, is_look=is_look)
        if need is not Open.ANYONE:
            if session is None:
                return self._elsewhere(request, "/ops/sign-in")
            if not _is_at(session, need):
                return self._elsewhere(request, _STEPS[session.stage])
        bound = cookie if session else self._cookies.visitor(request)
        form = Form()
        if request.method not in ("GET", "HEAD"):
            read = await read_form(request)
            host = request.headers.get("Host", "")
            if (
                read is None
                or not bound
                or not comes_from_here(request.headers, host)
                or not is_token(services.form_key, bound, read.text(TOKEN_FIELD))
            ):
                log.warning("security.forged_form", route=route)
                text = "This form is too old, or came from elsewhere. Go back, reload, try again."
                return await self._problem(request, 403, "Not accepted", text)
            form = read
        fresh = "" if bound else self._cookies.new_visitor()
        visit = Visit(
            services,
            request,
            cookie=bound or fresh,
            session=session,
            form=form,
            browser=self._browser(request),
            cookies=self._cookies,
        )
        if session is not None and session.stage is Stage.FULL and not may(visit.role, need):
            log.warning("security.role_refused", route=route, operator=session.operator.name)
            text = f"Your role, {visit.role}, may not do this. Ask an owner."
            return await self._problem(request, 403, "Not allowed", text, visit)
        response = await handler(visit)
        if fresh and not isinstance(response, web.FileResponse):
            self._cookies.give_visitor(response, fresh)
        return response

    def _browser(self, request: web.Request) -> Browser:
        trusted = self._services.settings.ops.trusted_proxies
        forwarded = request.headers.getall("X-Forwarded-For", ()) if trusted else ()
        address = client_address(request.remote, forwarded, trusted)
        return Browser(str(address) if address else None, request.headers.get("User-Agent", ""))

    def _elsewhere(self, request: web.Request, path: str) -> web.Response:
        if "Ops-Refresh" in request.headers:
            return web.Response(status=401, text="sign in again")
        return web.Response(status=303, headers={"Location": path})

    async def _problem(
        self, request: web.Request, status: int, title: str, text: str, visit: Visit | None = None
    ) -> web.Response:
        visit = visit or Visit(
            self._services,
            request,
            cookie="",
            session=None,
            form=Form(),
            browser=self._browser(request),
            cookies=self._cookies,
        )
        return await visit.page("problem.html", title=title, status=status, text=text)

    async def _nothing_here(self, request: web.Request) -> web.Response:
        return await self._problem(request, 404, "Not found", "There is no such page.")


def _routes() -> Iterable[tuple[str, str, Handler]]:
    for module in PAGES:
        yield from module.ROUTES


def _is_at(session: Session, need: object) -> bool:
    """Whether signing in has come as far as a route needs.

    Leaving is open at every step, and who is in may still set a second factor up.
    """
    if need is Stage.FULL or session.stage is need:
        return True
    return session.stage is Stage.FULL and need is not Stage.CODE
