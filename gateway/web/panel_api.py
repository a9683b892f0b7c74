"""The panel API v2: one endpoint, ``key`` and ``action``, answers in the reference's shapes."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

import structlog
from aiohttp import web
from multidict import CIMultiDict

from gateway.catalogue.snapshot import Catalogue
from gateway.grouping import GroupFailed, Overloaded
from gateway.metrics import RequestCounts
from gateway.orders.drafting import draft_order
from gateway.orders.intake import Accepted, Intake
from gateway.orders.receipts import Receipts
from gateway.orders.telling import Teller
from gateway.resellers.keys import KeyRing
from gateway.web.fields import Fields, every, one, read_fields
from gateway.web.receipt_response import ReceiptResponse
from schemas import panel_v2 as wire
from schemas.panel_v2 import PanelError
from schemas.resellers import Access
from schemas.services import SERVICE_TYPES, ParameterKind

log = structlog.get_logger()

LARGEST_BODY = 1_000_000

_ACTIONS = {
    "services": "services",
    "add": "add",
    "create": "add",
    "status": "status",
    "orders": "status",
    "statuses": "status",
    "multi_status": "status",
    "multi-status": "status",
    "multistatus": "status",
    "balance": "balance",
}
_NAMING_ACTIONS = frozenset({"add", "status"})
_EXTERNAL_NAMES = ("external_id", "request_id", "idempotency_key")
_KEY_NAMES = ("key", "api_key", "api", "api_token")


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call."""

    access: Access
    fields: Fields
    request_id: str
    external_id: str | None


class PanelApi:
    """Answers every call of the endpoint; nothing here waits for an upstream."""

    def __init__(
        self,
        keys: KeyRing,
        catalogue: Catalogue,
        intake: Intake,
        receipts: Receipts,
        teller: Teller,
        counts: RequestCounts,
    ) -> None:
        self._keys = keys
        self._catalogue = catalogue
        self._intake = intake
        self._receipts = receipts
        self._teller = teller
        self._counts = counts
        self._process = secrets.token_hex(4)
        self._numbers = count(1)
        self._handlers: dict[str, Callable[[Call], Awaitable[bytes | web.Response]]] = {
            "services": self._services,
            "add": self._add,
            "status": self._status,
            "balance": self._balance,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a call. Every protocol-level answer is HTTP 200, as clients need it."""
        request_id = f"{self._process}-{next(self._numbers):x}"
        action = "none"
        try:
            fields = await read_fields(request)
            action = self._action(fields)
            access = await self._access(request, fields)
            name = _external_id(request, fields) if action in _NAMING_ACTIONS else None
            call = Call(access, fields, request_id, name)
            body = await self._handlers[action](call)
        except PanelError as refusal:
            self._counts.add(action, "refused")
            return _refusal(request, str(refusal))
        except web.HTTPRequestEntityTooLarge:
            self._counts.add(action, "refused")
            return answer(wire.error_answer(wire.TOO_LARGE), status=413)
        except Overloaded:
            self._counts.add(action, "shed")
            return answer(wire.error_answer(wire.TEMPORARY), status=503, retry_after=1)
        except GroupFailed:
            self._counts.add(action, "failed")
            return answer(wire.error_answer(wire.TEMPORARY), status=503, retry_after=5)
        except Exception:
            # Never a refusal text: panels would place the order elsewhere.
            log.exception("request.failed", action=action, request_id=request_id)
            self._counts.add(action, "failed")
            return answer(wire.error_answer(wire.TEMPORARY), status=503, retry_after=5)
        self._counts.add(action, "answered")
        return body if isinstance(body, web.Response) else answer(body)

    def _action(self, fields: Fields) -> str:
        action = _ACTIONS.get((one(fields, "action") or "").strip().lower())
        if action is None:
            raise PanelError(wire.INCORRECT_REQUEST)
        return action

    async def _access(self, request: web.Request, fields: Fields) -> Access:
        key = next((text for name in _KEY_NAMES if (text := one(fields, name))), None)
        if key is None:
            key = request.headers.get("X-API-Key") or _bearer(request)
        access = await self._keys.open(key.strip())
        if access is None:
            raise PanelError(wire.INVALID_KEY)
        return access

    async def _services(self, call: Call) -> bytes:
        return self._catalogue.current.answer

    async def _balance(self, call: Call) -> bytes:
        amount = await self._teller.balance(call.access.reseller_id)
        return wire.balance_answer(amount, call.access.currency)

    async def _add(self, call: Call) -> bytes | web.Response:
        if call.access.suspended:
            raise PanelError(wire.SUSPENDED)
        text = wire.given(one(call.fields, "service"))
        if text is None:
            raise PanelError(wire.INCORRECT_REQUEST)
        number = wire.read_id(text)
        service = self._catalogue.current.services.get(number) if number else None
        if service is None:
            raise PanelError(wire.INCORRECT_SERVICE)
        given: dict[str, str] = {}
        for parameter in SERVICE_TYPES[service.type].parameters:
            if parameter.kind is ParameterKind.LINES:
                value: str | None = "\n".join(every(call.fields, parameter.name))
            else:
                value = one(call.fields, parameter.name)
            if value is not None:
                given[parameter.name] = value
        draft = draft_order(
            service,
            given,
            reseller_id=call.access.reseller_id,
            currency=call.access.currency,
            request_id=call.request_id,
        )
        draft = replace(draft, external_id=call.external_id, duplicates=call.access.duplicates)
        return self._added(await self._intake.submit(draft))

    def _added(self, accepted: Accepted) -> web.Response:
        body = wire.add_answer(accepted.order_id)
        headers = _headers()
        if accepted.repeated:
            headers["Idempotent-Replayed"] = "true"
        mark = accepted.mark
        if mark is None:
            return web.Response(body=body, headers=headers)
        return ReceiptResponse(
            body, headers, lambda arrived: self._receipts.settle(mark, arrived=arrived)
        )

    async def _status(self, call: Call) -> bytes:
        if call.external_id is not None and not {"order", "orders"} & call.fields.keys():
            return await self._status_of_named(call, call.external_id)
        asked = wire.read_ids(every(call.fields, "order"), every(call.fields, "orders"))
        if not asked.tokens:
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


def _external_id(request: web.Request, fields: Fields) -> str | None:
    named = [text for name in _EXTERNAL_NAMES if name in fields for text in every(fields, name)]
    header = request.headers.get("Idempotency-Key")
    return wire.read_external_id([*named, header] if header else named) if named or header else None


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _headers() -> CIMultiDict[str]:
    return CIMultiDict({"Content-Type": "application/json", "Cache-Control": "no-store"})


def answer(body: bytes, *, status: int = 200, retry_after: int | None = None) -> web.Response:
    """A JSON answer that no cache keeps."""
    headers = _headers()
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.Response(body=body, status=status, headers=headers)


def _refusal(request: web.Request, text: str) -> web.Response:
    response = answer(wire.error_answer(text))
    if request.content.exception() is not None:
        # The body broke off or does not decode: the server must not read on, but close.
        request.content.feed_eof()
        response.force_close()
    return response


async def _wrong_method(_: web.Request) -> web.Response:
    return answer(wire.error_answer(wire.INCORRECT_REQUEST), status=405)


async def _nothing_here(_: web.Request) -> web.Response:
    return answer(wire.error_answer("Not found"), status=404)


def public_app(api: PanelApi) -> web.Application:
    """The public listener. Both spellings of the path answer in place, never with a redirect."""
    app = web.Application(client_max_size=LARGEST_BODY)
    for path in ("/api/v2", "/api/v2/"):
        app.router.add_post(path, api.handle)
        app.router.add_get(path, api.handle, allow_head=False)
        app.router.add_route("*", path, _wrong_method)
    app.router.add_route("*", "/{anything:.*}", _nothing_here)
    return app
