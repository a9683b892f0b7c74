"""The panel API v2: one endpoint, ``key`` and ``action``, answers in the reference's shapes."""

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import count

import structlog
from aiohttp import web
from multidict import CIMultiDict

from gateway.catalogue.snapshot import Catalogue
from gateway.grouping import GroupFailed, Overloaded
from gateway.log import about
from gateway.metrics import RATE_LIMITED
from gateway.orders.drafting import Draft, draft_order
from gateway.orders.earlier import Accepted
from gateway.orders.intake import Asked, Intake
from gateway.orders.receipts import Receipts
from gateway.orders.telling import Teller
from gateway.request_metrics import REQUESTS
from gateway.store.connection import TRANSIENT
from gateway.web.admission import Admission, PlainHttp, key_of
from gateway.web.aftercare import AftercareApi
from gateway.web.api_actions import ACTIONS
from gateway.web.buckets import Quota
from gateway.web.docs_page import add_documents
from gateway.web.fields import Fields, every, one, read_fields
from gateway.web.limits import RateLimits, TooManyRequests
from gateway.web.receipt_response import ReceiptResponse
from gateway.web.refusal_reasons import reason_of
from schemas import panel_v2 as wire
from schemas.panel_v2 import PanelError
from schemas.parameters import Parameter
from schemas.resellers import Access, DuplicatePolicy, Scope
from schemas.services import SERVICE_TYPES

log = structlog.get_logger()

LARGEST_BODY = 1_000_000

_EXTERNAL_NAMES = ("external_id", "request_id", "idempotency_key")


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call."""

    access: Access
    fields: Fields
    request_id: str
    external_id: str | None
    gone: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be asked for: who answers it, and what a key must be allowed.

    An action of the scope ``order`` is closed to read keys and to suspended accounts; ``named``
    ones take an external id. Further names that clients use are in the documented table.
    """

    name: str
    scope: Scope
    answer: Callable[[Call], Awaitable[bytes | web.Response]]
    named: bool = False


@dataclass(slots=True)
class _Seen:
    """What is known of a call so far: its action, and what its key has left to spend."""

    request_id: str
    action: str = "none"
    quota: Quota | None = None


class PanelApi:
    """Answers every call of the endpoint; nothing here waits for an upstream."""

    def __init__(
        self,
        *,
        admission: Admission,
        limits: RateLimits,
        catalogue: Catalogue,
        intake: Intake,
        receipts: Receipts,
        teller: Teller,
        aftercare: AftercareApi,
    ) -> None:
        self._admission = admission
        self._limits = limits
        self._catalogue = catalogue
        self._intake = intake
        self._receipts = receipts
        self._teller = teller
        self._process = secrets.token_hex(4)
        self._numbers = count(1)
        actions = (
            Action("services", Scope.READ, self._services),
            Action("add", Scope.ORDER, self._add, named=True),
            Action("status", Scope.READ, self._status, named=True),
            Action("balance", Scope.READ, self._balance),
            Action("refill", Scope.ORDER, lambda c: aftercare.refill(c.access, c.fields)),
            Action("refill_status", Scope.READ, lambda c: aftercare.told(c.access, c.fields)),
            Action("cancel", Scope.ORDER, lambda c: aftercare.cancel(c.access, c.fields)),
        )
        spellings = {documented.name: documented.aliases for documented in ACTIONS}
        self._actions = {name: a for a in actions for name in (a.name, *spellings[a.name])}

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a call. Every protocol-level answer is HTTP 200, as clients need it."""
        seen = _Seen(f"{self._process}-{next(self._numbers):x}")
        with about(request_id=seen.request_id):
            return await self._handle(request, seen)

    async def _handle(self, request: web.Request, seen: _Seen) -> web.Response:
        began, why = time.perf_counter(), ""
        try:
            body = await self._ask(request, seen)
            outcome = "answered"
            response = answer(body) if isinstance(body, bytes) else body
        except PanelError as refusal:
            why = reason_of(str(refusal))
            outcome, response = "refused", _refusal(request, refusal)
        except web.HTTPRequestEntityTooLarge:
            outcome, response = "refused", answer(wire.error_answer(wire.TOO_LARGE), status=413)
        except TooManyRequests as refusal:
            outcome, response = "limited", _too_many(refusal.retry_after)
        except Overloaded as refusal:
            outcome, response = "shed", _temporary(retry_after=refusal.retry_after)
        except GroupFailed:
            outcome, response = "failed", _temporary(retry_after=5)
        except TRANSIENT as error:
            log.warning("request.failed", reason=type(error).__name__)
            outcome, response = "failed", _temporary(retry_after=5)
        except Exception:
            # Never a refusal text: panels would place the order elsewhere.
            log.exception("request.failed", action=seen.action)
            outcome, response = "failed", _temporary(retry_after=5)
        REQUESTS.count(seen.action, outcome, time.perf_counter() - began)
        if seen.action == "add" and outcome != "answered":
            REQUESTS.count_refused(why or outcome)
        if seen.quota is not None:
            seen.quota.mark(response.headers)
        return response

    async def _ask(self, request: web.Request, seen: _Seen) -> bytes | web.Response:
        fields = await read_fields(request)
        action = self._actions.get((one(fields, "action") or "").strip().lower())
        key = key_of(request, fields)
        if action is not None:
            seen.action = action.name
        elif not key:
            raise PanelError(wire.INCORRECT_REQUEST)
        access = await self._admission.admit(request, key)
        seen.quota = self._limits.take(access)
        if seen.quota is not None and seen.quota.wait:
            RATE_LIMITED.labels("key").inc()
            raise TooManyRequests(seen.quota.retry_after)
        if action is None or (access.post_only and request.method != "POST"):
            raise PanelError(wire.INCORRECT_REQUEST)
        if action.scope is Scope.ORDER:
            _require_ordering(access)
        name = _external_id(request, fields) if action.named else None
        # A connection that is lost leaves a request without a transport.
        call = Call(access, fields, seen.request_id, name, lambda: request.transport is None)
        return await action.answer(call)

    async def _services(self, call: Call) -> bytes:
        access = call.access
        return await self._catalogue.answer(access.reseller_id, text_ids=access.text_ids)

    async def _balance(self, call: Call) -> bytes:
        amount = await self._teller.balance(call.access.reseller_id)
        return wire.balance_answer(amount, call.access.currency)

    async def _add(self, call: Call) -> web.Response:
        try:
            draft = self._draft(call)
        except PanelError as refusal:
            earlier = await self._earlier(call, refusal)
            if earlier is None:
                raise
            return self._added(earlier)
        return self._added(await self._intake.submit(draft, call.gone))

    def _draft(self, call: Call) -> Draft:
        number = _service_number(call)
        sold = self._catalogue.current
        service = sold.service(number, call.access.reseller_id) if number else None
        if service is None:
            raise PanelError(wire.INCORRECT_SERVICE)
        access = call.access
        return draft_order(
            service,
            _given(call.fields, SERVICE_TYPES[service.type].accepted),
            reseller_id=access.reseller_id,
            currency=access.currency,
            request_id=call.request_id,
            external_id=call.external_id,
            duplicates=access.duplicates,
            paused=access.paused,
        )

    async def _earlier(self, call: Call, refusal: PanelError) -> Accepted | None:
        """The order that the call repeats and that was placed before it would have been refused."""
        access = call.access

        def read(parameters: Iterable[Parameter]) -> dict[str, str]:
            return _given(call.fields, parameters)

        if call.external_id is not None:
            name = (access.reseller_id, call.external_id)
            return await self._intake.find_repeated(name, _service_number(call), read)
        if access.duplicates is not DuplicatePolicy.SAFE_RETRY:
            return None
        asked = Asked(access.reseller_id, access.currency, call.request_id, read)
        return await self._intake.find_retried(asked, _service_number(call), refusal, call.gone)

    def _added(self, accepted: Accepted) -> web.Response:
        body, mark = wire.add_answer(accepted.order_id), accepted.mark
        headers = _headers()
        if accepted.repeated:
            headers["Idempotent-Replayed"] = "true"
        if mark is None:
            return web.Response(body=body, headers=headers)
        return ReceiptResponse(
            body, headers, lambda arrived: self._receipts.settle(mark, arrived=arrived)
        )

    async def _status(self, call: Call) -> bytes:
        asked = wire.read_ids(every(call.fields, "order"), every(call.fields, "orders"))
        if not asked.tokens:
            if call.external_id is not None:
                return await self._status_of_named(call, call.external_id)
            named = "order" in call.fields or "orders" in call.fields
            raise PanelError(wire.INCORRECT_ORDER if named else wire.INCORRECT_REQUEST)
        ids = {token: id_ for token in asked.tokens if (id_ := wire.read_id(token))}
        found = await self._teller.orders(call.access.reseller_id, ids.values()) if ids else {}
        known = {token: found[id_] for token, id_ in ids.items() if id_ in found}
        if asked.many:
            return wire.statuses_answer(asked, known)
        order = known.get(asked.tokens[0])
        if order is None:
            raise PanelError(wire.INCORRECT_ORDER)
        return wire.status_text(order).encode()

    async def _status_of_named(self, call: Call, external_id: str) -> bytes:
        order = await self._teller.named_order(call.access.reseller_id, external_id)
        if order is None:
            raise PanelError(wire.INCORRECT_ORDER)
        return wire.status_text(order).encode()


def _service_number(call: Call) -> int | None:
    text = wire.given(one(call.fields, "service"))
    if text is None:
        raise PanelError(wire.INCORRECT_REQUEST)
    return wire.read_id(text)


def _given(fields: Fields, parameters: Iterable[Parameter]) -> dict[str, str]:
    """The texts of these parameters, each under its own name, whichever name a client uses."""
    found: dict[str, str] = {}
    for parameter in parameters:
        name = parameter.name
        if name not in fields:
            known = [alias for alias in parameter.aliases if alias in fields]
            if not known:
                continue
            name = known[0]
        text = "\n".join(every(fields, name)) if parameter.many else one(fields, name)
        found[parameter.name] = text or ""
    return found


def _external_id(request: web.Request, fields: Fields) -> str | None:
    named = [text for name in _EXTERNAL_NAMES if name in fields for text in every(fields, name)]
    header = request.headers.get("Idempotency-Key")
    return wire.read_external_id([*named, header] if header else named) if named or header else None


def _require_ordering(access: Access) -> None:
    if access.scope is not Scope.ORDER:
        # The same text as for a key that opens nothing: clients know it and stop.
        log.warning("security.read_key_orders", key_id=access.key_id)
        raise PanelError(wire.INVALID_KEY)
    if access.suspended:
        raise PanelError(wire.SUSPENDED)


def _headers() -> CIMultiDict[str]:
    return CIMultiDict({"Content-Type": "application/json", "Cache-Control": "no-store"})


def answer(body: bytes, *, status: int = 200, retry_after: int | None = None) -> web.Response:
    """A JSON answer that no cache keeps."""
    headers = _headers()
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.Response(body=body, status=status, headers=headers)


def _refusal(request: web.Request, refusal: PanelError) -> web.Response:
    # No redirect to https: it would hide that the key has travelled in the open.
    status = 403 if isinstance(refusal, PlainHttp) else 200
    response = answer(wire.error_answer(str(refusal)), status=status)
    if request.content.exception() is not None:
        # The body broke off or does not decode: the server must not read on, but close.
        request.content.feed_eof()
        response.force_close()
    return response


def _too_many(retry_after: int) -> web.Response:
    return answer(wire.error_answer(wire.TOO_MANY_REQUESTS), status=429, retry_after=retry_after)


def _temporary(*, retry_after: int) -> web.Response:
    return answer(wire.error_answer(wire.TEMPORARY), status=503, retry_after=retry_after)


async def _wrong_method(_: web.Request) -> web.Response:
    return answer(wire.error_answer(wire.INCORRECT_REQUEST), status=405)


async def _nothing_here(_: web.Request) -> web.Response:
    return answer(wire.error_answer(wire.INCORRECT_REQUEST), status=404)


def public_app(api: PanelApi) -> web.Application:
    """The public listener. All spellings of the path answer in place, never with a redirect."""
    app = web.Application(client_max_size=LARGEST_BODY)
    for path in ("/api/v2", "/api/v2/", "/api/v2.php", "/api/v2/index.php"):
        app.router.add_post(path, api.handle)
        app.router.add_get(path, api.handle, allow_head=False)
        app.router.add_route("*", path, _wrong_method)
    add_documents(app)
    app.router.add_route("*", "/{anything:.*}", _nothing_here)
    return app
