"""Forms: how they are read, and how one that another site has sent is told from ours.

Two layers: a token that only our own page knows (an HMAC over the cookie, compared in constant
time), and what browsers say about where a request comes from.
"""

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

TOKEN_FIELD = "token"
REQUEST_FIELD = "request"
LARGEST_FORM = 256 * 1024
_MOST_FIELDS = 5_000


class Form:
    """The fields of a form, as texts."""

    def __init__(self, fields: Mapping[str, list[str]] | None = None) -> None:
        self._fields = fields or {}

    def text(self, name: str) -> str:
        """The last value of a field, trimmed; empty where there is none."""
        return (self._fields.get(name) or [""])[-1].strip()

    def exact(self, name: str) -> str:
        """The last value of a field as it was typed, like a password."""
        return (self._fields.get(name) or [""])[-1]

    def every(self, name: str) -> list[str]:
        """All values of a field, like checked boxes."""
        return list(self._fields.get(name, ()))

    def __contains__(self, name: str) -> bool:
        return name in self._fields


async def read_form(request: web.Request) -> Form | None:
    """The form of a request; None for a body that is no form."""
    if request.content_type != "application/x-www-form-urlencoded":
        return None
    raw = await request.read()
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:
        return None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in value:
            return None
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(fields)


def token_for(key: bytes, cookie: str) -> str:
    """The token of all forms of a session, or of a browser that is not signed in."""
    return hmac.digest(key, b"form:" + cookie.encode("utf-8", "surrogatepass"), "sha256").hex()


def is_token(key: bytes, cookie: str, given: str) -> bool:
    """Whether a form carries its session's token."""
    return hmac.compare_digest(token_for(key, cookie).encode(), given.encode())


def new_request() -> str:
    """A fresh request id for a form."""
    return secrets.token_urlsafe(16)


def comes_from_here(headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser says that a request comes from our own page.

    What says neither is no browser of these days; the token still stands.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == host
