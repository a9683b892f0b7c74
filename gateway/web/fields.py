"""The fields of a call, however a client encodes them: query, form, multipart, JSON.

Names are trimmed and lower-cased. ``name[]``, ``name[0]``, repetition and JSON arrays give lists.
"""

import json
import re
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from aiohttp import BodyPartReader, web

from schemas.panel_v2 import INCORRECT_REQUEST, PanelError

Fields: TypeAlias = dict[str, str | list[str]]

_BRACKETS = re.compile(r"\[\d{0,4}\]$", re.ASCII)
_MOST_FIELDS = 1000
#: Stands for a value that no parameter takes (an object inside JSON): every reader refuses it.
_UNREADABLE = "\0"
_BOM = b"\xef\xbb\xbf"


def parse_urlencoded(raw: bytes) -> Fields:
    """Read ``application/x-www-form-urlencoded``.

    Raises:
        PanelError: ``Incorrect request`` for bytes that are not UTF-8, or for too many fields.
    """
    fields: Fields = {}
    pairs = raw.split(b"&", _MOST_FIELDS)
    if len(pairs) > _MOST_FIELDS:
        raise PanelError(INCORRECT_REQUEST)
    for pair in pairs:
        if pair:
            name, _, value = pair.partition(b"=")
            put(fields, _text(name), _text(value))
    return fields


def _text(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise PanelError(INCORRECT_REQUEST) from None


def put(fields: Fields, name: str, value: str) -> None:
    """Add one value; a name that is there already becomes a list."""
    name = name.strip().lower()
    bracketed = name.endswith("]")
    if bracketed:
        name = _BRACKETS.sub("", name)
    known = fields.get(name)
    if known is None:
        fields[name] = [value] if bracketed else value
    elif isinstance(known, list):
        known.append(value)
    else:
        fields[name] = [known, value]


def parse_json(raw: bytes) -> Fields:
    """Read a JSON object; numbers keep the text that they were written with.

    Raises:
        PanelError: ``Incorrect request`` for anything but one object with distinct names.
    """
    try:
        text = raw.removeprefix(_BOM).decode()
        value = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_float=str,
            parse_int=str,
            parse_constant=lambda _: "",
        )
    except (ValueError, RecursionError):
        raise PanelError(INCORRECT_REQUEST) from None
    if not isinstance(value, dict):
        raise PanelError(INCORRECT_REQUEST)
    fields: Fields = {}
    for name, item in value.items():
        if isinstance(item, list):
            fields[name.strip().lower()] = [_scalar(part) for part in item if part is not None]
        elif item is not None:
            put(fields, name, _scalar(item))
    return fields


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _UNREADABLE


async def read_fields(request: web.Request) -> Fields:
    """All fields of a call: query and body merged, the body wins.

    Raises:
        PanelError: ``Incorrect request`` when the body cannot be read.
        aiohttp.web.HTTPRequestEntityTooLarge: when it is too large.
    """
    if request.content_type == "multipart/form-data":
        body = await _read_multipart(request)
    else:
        raw = await request.read()
        body = (
            parse_json(raw)
            if raw[:16].lstrip(_BOM + b" \t\r\n")[:1] in (b"{", b"[")
            else (parse_urlencoded(raw))
        )
    query = request.rel_url.raw_query_string
    return parse_urlencoded(query.encode()) | body if query else body


async def _read_multipart(request: web.Request) -> Fields:
    fields: Fields = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.filename or not part.name:
                continue
            put(fields, part.name, (await part.read(decode=True)).decode())
    except (ValueError, AssertionError):
        raise PanelError(INCORRECT_REQUEST) from None
    return fields


def one(fields: Fields, name: str) -> str | None:
    """The value of a parameter that takes one; equal repetitions are one.

    Raises:
        PanelError: ``Incorrect request`` when it is given with different values.
    """
    value = fields.get(name)
    if isinstance(value, list):
        if len(set(value)) > 1:
            raise PanelError(INCORRECT_REQUEST)
        return value[0] if value else None
    return value


def every(fields: Fields, name: str) -> list[str]:
    """All values of a parameter that takes several."""
    value = fields.get(name, [])
    return value if isinstance(value, list) else [value]
