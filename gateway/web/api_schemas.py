"""Calls and answers of the panel API as JSON schemas, from the tables that the gateway reads."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from gateway.web.api_actions import ACTIONS, Action
from schemas.aftercare import REFILL_WORDS
from schemas.links import MAX_LINK
from schemas.order_parameters import INTERVAL, MAX_CHARGE, RUNS
from schemas.orders import WireStatus
from schemas.panel_errors import ERRORS
from schemas.parameters import Parameter, ParameterKind
from schemas.services import TYPES, ServiceType

Schema: TypeAlias = dict[str, Any]

_WHOLE = r"^[ \t]*(0|[1-9][0-9]{0,39})(\.0)?[ \t]*$"
_DAY = r"^([0-9]{1,2}/[0-9]{1,2}/[0-9]{4}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})$"
_AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"
_DIGITS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
_COUNT: Schema = {"type": "string", "pattern": "^-?[0-9]+$"}
_MONEY: Schema = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2,6}$"}
_ID: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_SERVICE_ID: Schema = {
    "anyOf": [_ID | {"maximum": 999_999}, {"type": "string", "pattern": "^[1-9][0-9]{0,5}$"}]
}
_REFILL_WORD: Schema = {"enum": list(dict.fromkeys(REFILL_WORDS.values()))}


def ref(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _exactly(**properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_FORMATS: dict[ParameterKind, Schema] = {
    ParameterKind.LINK: {"type": "string", "maxLength": MAX_LINK},
    ParameterKind.QUANTITY: {"type": ["integer", "string"], "pattern": _WHOLE},
    ParameterKind.LINES: {"type": ["string", "array"], "items": {"type": "string"}},
    ParameterKind.LIST: {"type": ["string", "array"], "items": {"type": "string"}},
    ParameterKind.TEXT: {"type": "string"},
    ParameterKind.NUMBER: {"type": ["integer", "string"], "pattern": _WHOLE},
    ParameterKind.CHOICE: {},
    ParameterKind.DATE: {"type": "string", "pattern": _DAY},
    ParameterKind.AMOUNT: {"type": ["string", "number"], "pattern": _AMOUNT},
}


def parameter_schema(parameter: Parameter) -> Schema:
    """How the value of a parameter may look; numbers may be JSON numbers or texts of digits."""
    schema: Schema = {"description": parameter.about, "examples": [parameter.example]}
    schema |= _FORMATS[parameter.kind]
    if parameter.kind is ParameterKind.NUMBER:
        schema |= {"minimum": parameter.least, "maximum": parameter.most}
    elif parameter.kind is ParameterKind.TEXT and parameter.most:
        schema["maxLength"] = parameter.most
    elif parameter.kind is ParameterKind.CHOICE:
        values = [choice.value for choice in parameter.choices]
        schema["enum"] = [*values, *map(str, values)]
    if parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def _call(name: str, parameters: Iterable[Parameter], **further: Any) -> Schema:
    parameters = tuple(parameters)
    return {
        "type": "object",
        "properties": {
            "key": ref("Key"),
            "action": {"const": name},
            **{parameter.name: parameter_schema(parameter) for parameter in parameters},
        },
        "required": ["action", *(p.name for p in parameters if p.required)],
        **further,
    }


def _conditions(kind: ServiceType) -> Schema:
    """What a type asks of several parameters together."""
    found: Schema = {}
    if kind.times:
        found["anyOf"] = [{"required": [parameter.name]} for parameter in kind.times]
    needed = [(p.name, *p.needed_when) for p in kind.parameters if p.needed_when]
    if needed:
        found["allOf"] = [
            {
                "if": {"properties": {other: {"enum": [value, int(value)]}}, "required": [other]},
                "then": {"required": [name]},
            }
            for name, other, value in needed
        ]
    return found


def add_name(kind: ServiceType) -> str:
    """What the schema of a type's order is called."""
    return "Add" + "".join(word[0].upper() + word[1:] for word in kind.name.split())


def _add_schema(action: Action, kind: ServiceType) -> Schema:
    drip = (RUNS, INTERVAL) if kind.dripfeed else ()
    schema = _call(
        "add",
        (*action.parameters, *kind.parameters, *drip, MAX_CHARGE),
        title=f"add, {kind.name}",
        description=kind.about,
        examples=[{"action": "add", "service": "1"} | kind.example],
        **_conditions(kind),
    )
    if drip:
        schema["dependentRequired"] = {"interval": ["runs"]}
    return schema


def call_name(action: Action) -> str:
    """What the schema of an action's call is called."""
    return "".join(word.title() for word in action.name.split("_")) + "Call"


def call_schemas() -> dict[str, Schema]:
    """The schema of each action's call, and of each type's order, by name."""
    schemas: dict[str, Schema] = {"Key": {"type": "string", "description": "Your API key."}}
    for action in ACTIONS:
        if action.name == "add":
            adds = {add_name(kind): _add_schema(action, kind) for kind in TYPES}
            # The wire does not carry the type, so that one body may suit several.
            schemas |= adds
            schemas[call_name(action)] = {
                "description": action.about,
                "anyOf": [ref(name) for name in adds],
            }
        else:
            schemas[call_name(action)] = _call(
                action.name, action.parameters, description=action.about
            )
    return schemas


def answer_schemas() -> dict[str, Schema]:
    """The schema of each shape that an answer may have, by name."""
    flag: Schema = {"type": "boolean"}
    text: Schema = {"type": "string"}
    error = ref("Error")
    return {
        "Services": {
            "type": "array",
            "items": _exactly(
                service=_SERVICE_ID,
                name=text,
                type={"enum": [kind.name for kind in TYPES]},
                category=text,
                rate={"type": "string", "pattern": r"^[0-9]+\.[0-9]{2,5}$"},
                min=_DIGITS,
                max=_DIGITS,
                dripfeed=flag,
                refill=flag,
                cancel=flag,
            ),
        },
        "Placed": _exactly(order=_ID),
        "Order": _exactly(
            charge=_MONEY,
            start_count=_COUNT,
            status={"enum": [str(word) for word in WireStatus]},
            remains=_DIGITS,
            currency={"type": "string", "pattern": "^[A-Z]{3,5}$"},
        ),
        "Orders": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [ref("Order"), error]},
        },
        "Refill": _exactly(refill=_DIGITS),
        "Refills": _rows("order", "refill", _ID),
        "RefillStatus": _exactly(status=_REFILL_WORD),
        "RefillStatuses": _rows("refill", "status", _REFILL_WORD),
        "Cancels": _rows("order", "cancel", {"const": 1}),
        "Cancel": _exactly(
            order=_ID,
            cancel={"const": 1},
            id=_ID,
            status={"const": "success"},
            success=text,
            ok={"const": "true"},
        ),
        "Balance": _exactly(balance=_MONEY, currency=text),
        "Error": _exactly(error=ref("ErrorText")),
        "ErrorText": {
            "type": "string",
            "anyOf": [
                {"enum": [error.text for error in ERRORS if error.fixed]},
                *({"pattern": error.pattern} for error in ERRORS if not error.fixed),
            ],
        },
    }


def _rows(id_name: str, name: str, value: Schema) -> Schema:
    # An id that is no number comes back as it was written.
    asked: Schema = {"type": ["integer", "string"]}
    answered: Schema = {"anyOf": [value, ref("Error")]}
    row = _exactly(**{id_name: asked, name: answered})
    return {"type": "array", "items": row}
