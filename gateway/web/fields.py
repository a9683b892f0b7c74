"""The fields of a call, however a client encodes them: query, form, multipart, JSON.

The body is read by its look, because content types lie. Names are trimmed and lower-cased;
``name[]``, ``name[0]``, repetition and JSON arrays give several values.
"""

import json
import re
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from aiohttp import http, web

from schemas.panel_v2 import INCORRECT_REQUEST, PanelError

#: A list was repeated or bracketed; a tuple was an array in JSON.
Fields: TypeAlias = dict[str, str | list[str] | tuple[str, ...]]

#: Where a call may carry its key, the first before the others.
KEY_NAMES = ("key", "api_key", "api", "api_token")

_BRACKETS = re.compile(r"\[\d{0,4}\]$", re.ASCII)
_MOST_FIELDS = 1000
_LONGEST_NUMBER = 100
#: Stands for a value that no parameter takes (an object inside JSON): every reader refuses it.
_UNREADABLE = "\0"
_BOM = b"\xef\xbb\xbf"
_BEFORE_BODY = _BOM + b" \t\r\n"

_DISPOSITION = re.compile(rb"(?im)^content-disposition:[ \t]*form-data[ \t]*((?:;[^\r\n]*)?)")
_PART_NAME = re.compile(rb';[ \t]*name=(?:"([^"]*)"|([^";\s]*))', re.IGNORECASE)
_PART_FILE = re.compile(rb";[ \t]*filename\*?=", re.IGNORECASE)
_PART_ENCODED = re.compile(rb"(?im)^content-transfer-encoding:[ \t]*(?:base64|quoted-printable)")


def parse_urlencoded(raw: bytes) -> Fields:
    """Read ``application/x-www-form-urlencoded``.

    Raises:
        PanelError: ``Incorrect request`` for bytes that are not UTF-8.
        aiohttp.web.HTTPRequestEntityTooLarge: for too many fields.
    """
    fields: Fields = {}
    pairs = raw.split(b"&", _MOST_FIELDS)
    _limit(len(pairs))
    for pair in pairs:
        if pair:
            name, _, value = pair.partition(b"=")
            put(fields, _text(name), _text(value))
    return fields


def _limit(number: int) -> None:
    if number > _MOST_FIELDS:
        raise web.HTTPRequestEntityTooLarge(max_size=_MOST_FIELDS, actual_size=number)


def _text(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return _utf8(raw)


def _utf8(raw: bytes) -> str:
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
    elif isinstance(known, tuple):
        fields[name] = (*known, value)
    else:
        fields[name] = [known, value]


def parse_json(raw: bytes) -> Fields:
    """Read a JSON object; numbers keep the text that they were written with.

    Raises:
        PanelError: ``Incorrect request`` for anything but one object with distinct names.
        aiohttp.web.HTTPRequestEntityTooLarge: for too many fields.
    """
    try:
        value = json.loads(
            raw.removeprefix(_BOM).decode(),
            object_pairs_hook=_distinct,
            parse_float=_number,
            parse_int=_number,
            parse_constant=lambda name: "" if name == "NaN" else _UNREADABLE,
        )
    except (ValueError, RecursionError):
        raise PanelError(INCORRECT_REQUEST) from None
    if not isinstance(value, dict):
        raise PanelError(INCORRECT_REQUEST)
    _limit(len(value))
    fields: Fields = {}
    for name, item in value.items():
        if isinstance(item, list):
            _put_array(fields, name, [_scalar(part) for part in item if part is not None])
        elif item is not None:
            put(fields, name, _scalar(item))
    return fields


def _put_array(fields: Fields, name: str, values: list[str]) -> None:
    name = _BRACKETS.sub("", name.strip().lower())
    if name in fields:
        raise PanelError(INCORRECT_REQUEST)
    fields[name] = tuple(values)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def _number(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return text


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return _UNREADABLE
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no text, and no database keeps it
        return _UNREADABLE
    return value


def parse_multipart(raw: bytes) -> Fields:
    """Read ``multipart/form-data``; its first line is the boundary. Files are left out.

    Raises:
        PanelError: ``Incorrect request`` for a body that is cut off or not of this form.
        aiohttp.web.HTTPRequestEntityTooLarge: for too many fields.
    """
    boundary = raw.partition(b"\r\n")[0].rstrip(b" \t")
    _, *parts = (b"\r\n" + raw).split(b"\r\n" + boundary, _MOST_FIELDS + 2)
    _limit(len(parts) - 1)
    if not parts[-1].startswith(b"--"):
        raise PanelError(INCORRECT_REQUEST)
    fields: Fields = {}
    for part in parts[:-1]:
        head, found, value = part.partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head)
        if not found or disposition is None or _PART_ENCODED.search(head):
            raise PanelError(INCORRECT_REQUEST)
        name = _PART_NAME.search(disposition[1])
        if name is not None and not _PART_FILE.search(disposition[1]):
            put(fields, _utf8(name[1] or name[2] or b""), _utf8(value))
    return fields


async def read_fields(request: web.Request) -> Fields:
    """All fields of a call: query and body merged, the body wins; a key under any of its names.

    Raises:
        PanelError: ``Incorrect request`` when the body cannot be read.
        aiohttp.web.HTTPRequestEntityTooLarge: when it is too large.
    """
    try:
        raw = await request.read()
    except (web.RequestPayloadError, http.HttpProcessingError, ConnectionError):
        raise PanelError(INCORRECT_REQUEST) from None
    body = _parse(raw)
    query = request.rel_url.raw_query_string
    if not query:
        return body
    # The server keeps bytes that are not UTF-8 as surrogates.
    asked = parse_urlencoded(query.encode("utf-8", "surrogateescape"))
    if any(text.strip() for name in KEY_NAMES for text in every(body, name)):
        for name in KEY_NAMES:
            asked.pop(name, None)
    return asked | body


def _parse(raw: bytes) -> Fields:
    bare = raw.lstrip(_BEFORE_BODY)
    if bare[:1] in (b"{", b"["):
        return parse_json(bare)
    if bare[:2] == b"--":
        return parse_multipart(bare)
    return parse_urlencoded(raw)


def one(fields: Fields, name: str) -> str | None:
    """The value of a parameter that takes one; equal repetitions are one.

    Raises:
        PanelError: ``Incorrect request`` when it is given with different values.
    """
    value = fields.get(name)
    if isinstance(value, list):
        if len(set(value)) > 1:
            raise PanelError(INCORRECT_REQUEST)
        return value[0]
    return _UNREADABLE if isinstance(value, tuple) else value


def every(fields: Fields, name: str) -> list[str]:
    """All values of a parameter that takes several."""
    value = fields.get(name, ())
    return [value] if isinstance(value, str) else list(value)
