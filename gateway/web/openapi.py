"""The panel API as an OpenAPI 3.1 document."""

from collections.abc import Mapping
from importlib.metadata import version

from gateway.web.api_actions import ACTIONS
from gateway.web.api_schemas import Schema, answer_schemas, call_name, call_schemas, ref
from schemas.order_parameters import INTERVAL, MAX_CHARGE, RUNS
from schemas.parameters import Parameter
from schemas.services import TYPES

_GOOD = (
    *("Services", "Placed", "Order", "Orders", "Refill", "Refills", "RefillStatus"),
    *("RefillStatuses", "Cancels", "Cancel", "Balance", "Error"),
)
_REPLAYED: Schema = {
    "Idempotent-Replayed": {
        "description": "On add: the order was placed by an earlier call.",
        "schema": {"const": "true"},
    }
}
_LEFT: Schema = {
    name: {"description": about, "schema": {"type": "integer", "minimum": 0}}
    for name, about in (
        ("X-RateLimit-Limit", "How many calls may come at once."),
        ("X-RateLimit-Remaining", "How many calls are left of these."),
        ("X-RateLimit-Reset", "In how many seconds all are back."),
    )
}
_AGAIN: Schema = {
    "Retry-After": {
        "description": "When to come again, in seconds.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "With add and status: the same as external_id.",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
}
_FAILURES = {
    "403": "The call came without TLS.",
    "413": "The request is too large.",
    "429": "Too many requests; Retry-After says for how many seconds.",
    "503": "Something failed here for a while; Retry-After says for how many seconds.",
}


def _responses() -> dict[str, Schema]:
    def response(description: str, schema: Schema, headers: Schema) -> Schema:
        content = {"application/json": {"schema": schema}}
        return {"description": description, "headers": headers, "content": content}

    good = response(
        "Every protocol-level answer, errors included.",
        {"anyOf": [ref(name) for name in _GOOD]},
        _LEFT | _REPLAYED,
    )
    headers = {"403": {}, "413": {}, "429": _LEFT | _AGAIN, "503": _LEFT | _AGAIN}
    failures = {
        code: response(text, ref("Error"), headers[code]) for code, text in _FAILURES.items()
    }
    return {"200": good, **failures}


def _query() -> list[Schema]:
    """The parameters of a call by GET: all that any action takes, each once."""
    found: dict[str, Parameter] = {}
    for parameters in (
        *(action.parameters for action in ACTIONS),
        *(kind.parameters for kind in TYPES),
        (RUNS, INTERVAL, MAX_CHARGE),
    ):
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
    action: Schema = {"enum": [action.name for action in ACTIONS]}
    return [
        {"name": "key", "in": "query", "schema": ref("Key")},
        {"name": "action", "in": "query", "required": True, "schema": action},
        *(
            {"name": p.name, "in": "query", "description": p.about, "schema": {"type": "string"}}
            for p in found.values()
        ),
    ]


def _examples() -> Mapping[str, Schema]:
    return {
        f"{action.name}, {example.title}": {
            "value": {"key": "YOUR_KEY", "action": action.name, **example.request}
        }
        for action in ACTIONS
        for example in action.examples
    }


def openapi_document() -> Schema:
    """The whole document."""
    call: Schema = {"oneOf": [ref(call_name(action)) for action in ACTIONS]}
    content = {"schema": call, "examples": _examples()}
    media = ("application/x-www-form-urlencoded", "application/json", "multipart/form-data")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Panel API v2",
            "version": version("smm-gateway"),
            "description": "One endpoint; action says what is asked. Also served as /api/v2/,"
            " /api/v2.php and /api/v2/index.php. A page for people is at /docs.",
        },
        "paths": {
            "/api/v2": {
                "post": {
                    "operationId": "call",
                    "parameters": [_IDEMPOTENCY_KEY],
                    "requestBody": {"required": True, "content": dict.fromkeys(media, content)},
                    "responses": _responses(),
                },
                "get": {
                    "operationId": "callByQuery",
                    "description": "The same with everything in the query. Prefer POST: addresses"
                    " are written into logs, and with them your key.",
                    "parameters": [*_query(), _IDEMPOTENCY_KEY],
                    "responses": _responses(),
                },
            }
        },
        # The key may also stand in the request itself.
        "security": [{}, {"header": []}, {"bearer": []}],
        "components": {
            "schemas": call_schemas() | answer_schemas(),
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }
