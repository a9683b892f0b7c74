"""The panel API's requests, however they are written."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from providers.sandbox.forms import Refused

MOST_IDS = 100

_SEPARATORS = re.compile(r"[\s,;]+")


async def read_parameters(request: web.Request) -> dict[str, str]:
    """The parameters of a request by lower-case name: query and body together, body first.

    A body that begins with ``{`` is JSON, whatever its type says; any other is a form.

    Raises:
        Refused: when the body cannot be read.
    """
    parameters = {name.strip().lower(): text.strip() for name, text in request.query.items()}
    body = (await request.read()).decode("utf-8", "replace").strip()
    if body.startswith("{"):
        parameters.update(_from_json(body))
    elif body:
        pairs = parse_qsl(body, keep_blank_values=True)
        parameters.update({name.strip().lower(): text.strip() for name, text in pairs})
    return parameters


def _from_json(body: str) -> dict[str, str]:
    try:
        found = json.loads(body, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise Refused("Incorrect request") from error
    return {
        name.strip().lower(): _text(value) for name, value in found.items() if value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value)
    return str(value).strip()


def ids_of(text: str) -> list[str]:
    """The ids of a list as they were written, without repeats.

    Raises:
        Refused: when there is none, or more than a call may name.
    """
    ids = list(dict.fromkeys(part for part in _SEPARATORS.split(text) if part))
    if not 1 <= len(ids) <= MOST_IDS:
        raise Refused("Incorrect request")
    return ids
