"""Honest answers, bent: what faults do to the JSON value before it is written."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from providers.sandbox.faults import Fault, Manner

_ORDER_IDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "text": lambda number: {"order": str(number)},
    "float": lambda number: {"order": number + 0.0},
    "half": lambda number: {"order": number + 0.5},
    "bool": lambda number: {"order": True},
    "null": lambda number: {"order": None},
    "zero": lambda number: {"order": 0},
    "negative": lambda number: {"order": -number},
    "list": lambda number: {"order": [number]},
    "none": lambda number: {},
    "error": lambda number: {"order": number, "error": "Something went wrong"},
}


def with_order_id(payload: Any, variant: str) -> Any:
    """The answer to an ``add`` with its id in another shape; a refusal stays as it is."""
    if not isinstance(payload, dict) or "order" not in payload:
        return payload
    return _ORDER_IDS[variant](payload["order"])


def with_shape(payload: Any, variant: str) -> Any:
    """The rows of a multiple ``status`` in another shape; other answers stay as they are.

    ``missing`` leaves out every second id, beginning with the first.
    """
    if not isinstance(payload, dict) or not all(isinstance(v, dict) for v in payload.values()):
        return payload
    match variant:
        case "missing":
            return dict(list(payload.items())[1::2])
        case "list":
            return list(payload.values())
        case "list-with-ids":
            return [{"order": number, **row} for number, row in payload.items()]
        case _:
            return {number: {"error": "Incorrect order ID"} for number in payload}


def with_cells(row: dict[str, Any], faults: Sequence[Fault]) -> dict[str, Any]:
    """A status row with the values that ``faults`` put into it."""
    cells = {f.name: _value(f.argument) for f in faults if f.behaviour.manner is Manner.CELL}
    return {**row, **cells}


def _value(argument: str) -> Any:
    if not argument.startswith("="):
        return argument
    try:
        return json.loads(argument[1:])
    except ValueError:
        return argument
