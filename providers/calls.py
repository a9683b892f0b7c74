"""One request to an upstream as data, and how it looks on the wire. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlencode

from providers.limits import Timeouts


class Method(StrEnum):
    """How a panel wants to be called."""

    POST = "POST"
    GET = "GET"


class Encoding(StrEnum):
    """Where a request's fields go, and in which form."""

    FORM = "form"
    JSON = "json"
    QUERY = "query"


_CONTENT_TYPES = {
    Encoding.FORM: "application/x-www-form-urlencoded",
    Encoding.JSON: "application/json",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the address, exactly as configured, and the fields, with the key among them.

    ``timeouts`` are the account's own; None leaves them to the transport.
    """

    url: str
    fields: Mapping[str, str] = field(repr=False)
    method: Method = Method.POST
    encoding: Encoding = Encoding.FORM
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeouts: Timeouts | None = None

    @property
    def target(self) -> str:
        """The address that is asked, with the fields where they belong into it."""
        if self.encoding is not Encoding.QUERY:
            return self.url
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(self.fields)}"

    @property
    def body(self) -> bytes | None:
        """What is sent after the headers; None for nothing."""
        match self.encoding:
            case Encoding.FORM:
                return urlencode(self.fields).encode("ascii")
            case Encoding.JSON:
                return json.dumps(dict(self.fields), separators=(",", ":")).encode("ascii")
        return None

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of this request, with what its body is."""
        kind = _CONTENT_TYPES.get(self.encoding)
        return {**({"Content-Type": kind} if kind else {}), **self.headers}
