"""What an operator may say of an account at a panel. Everything is optional.

The defaults are the reference: one POST with a form, the key among its fields.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from providers.calls import Encoding, Method
from providers.limits import Timeouts
from schemas.upstream import RefusalGroup, UpstreamWord

ActionName: TypeAlias = Literal[
    "services",
    "balance",
    "add",
    "status",
    "multi_status",  # where several orders are asked for under another name than one
    "refill",
    "refill_status",
    "cancel",
    "orders",
]

#: Every name that a request of ours can carry, apart from the key's.
PARAMETERS = frozenset(
    {"action", "service", "order", "orders", "refill", "refills", "limit"}
    | {"link", "quantity", "runs", "interval", "comments", "answer_number", "groups", "keywords"}
    | {"username", "usernames", "hashtag", "hashtags", "media"}
    | {"min", "max", "delay", "posts", "old_posts", "expiry"}
    | {"country", "device", "type_of_traffic", "google_keyword", "referring_url"}
)

#: What the transport decides alone: it frames a request, or breaks the promise to send it once.
_OUR_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "transfer-encoding"}
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1024}", re.ASCII)
_WIRE_NAME = re.compile(r"[^\s=&#\x00-\x1f\x7f]{1,64}")
_PATH = re.compile(r"[^.\s]{1,64}(?:\.[^.\s]{1,64}){0,7}")


class KeyPlace(StrEnum):
    """Where a panel expects the account's key."""

    FIELD = "field"
    HEADER = "header"
    BEARER = "bearer"  # Authorization: Bearer …


_KEY_NAMES = {
    KeyPlace.FIELD: "key",
    KeyPlace.HEADER: "X-API-Key",
    KeyPlace.BEARER: "Authorization",
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnTimeouts(_Part):
    """An account's own patience, in seconds; what is not given is the gateway's."""

    connect: float | None = Field(default=None, gt=0)
    add: float | None = Field(default=None, gt=0)
    read: float | None = Field(default=None, gt=0, le=600)
    services: float | None = Field(default=None, gt=0, le=600)

    def over(self, gateway: Timeouts) -> Timeouts:
        """These timeouts, completed by the gateway's.

        Raises:
            ValueError: when they cannot work together, or ``add`` is longer than the gateway's:
                the lease of an order would be over while its answer is still waited for.
        """
        if self.add is not None and self.add > gateway.add:
            most = f"{gateway.add:g} s of dispatch.timeout_ms"
            raise ValueError(f"add is {self.add:g} s, above the {most}")
        return Timeouts(
            connect=self.connect or gateway.connect,
            add=self.add or gateway.add,
            read=self.read or gateway.read,
            services=self.services or gateway.services,
        )


class ResponsePaths(_Part):
    """Where things lie in an answer, as dotted paths like ``result.items`` or ``data.0.id``.

    ``order`` is the id in the answer to ``add``, ``balance`` and ``currency`` are values;
    the others lead to what the reference has as the whole answer.
    """

    services: str | None = None
    balance: str | None = None
    currency: str | None = None
    order: str | None = None
    status: str | None = None
    refill: str | None = None
    refill_status: str | None = None
    cancel: str | None = None
    orders: str | None = None

    @model_validator(mode="after")
    def _paths_lead_somewhere(self) -> Self:
        for name in type(self).model_fields:
            path = getattr(self, name)
            if path is not None and not _PATH.fullmatch(path):
                raise ValueError(f"{name}: write names with dots between, like result.items")
        return self


def _no_float(value: object) -> object:
    if isinstance(value, float | bool):
        raise ValueError('write it as text, like "0.01"')
    return value


ExactFactor = Annotated[
    Decimal,
    BeforeValidator(_no_float),
    Field(gt=0, le=1_000_000, max_digits=18, decimal_places=12, allow_inf_nan=False),
]


class PanelOptions(_Part):
    """The options of a panel account.

    ``any_error_is_refusal`` declares, after a test, that this panel creates nothing when it
    answers an error in any words. ``known_refusals`` teaches single texts instead.
    ``cancel_one_by_one`` is for panels whose cancel action takes one ``order``. A batch of 1
    says that a panel takes one id at a time. ``rate_multiplier`` makes the panel's rates rates
    per 1,000 in the account's currency. ``order_list`` declares that the action ``orders`` shows
    every recent order of the account, finished and canceled ones too: an order whose answer was
    lost is then looked for there.
    """

    method: Method = Method.POST
    encoding: Encoding = Encoding.FORM
    key_in: KeyPlace = KeyPlace.FIELD
    key_name: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    timeouts: OwnTimeouts = OwnTimeouts()
    action_names: dict[ActionName, str] = Field(default_factory=dict)
    parameter_names: dict[str, str] = Field(default_factory=dict)
    response_paths: ResponsePaths = ResponsePaths()
    currency: str | None = Field(default=None, pattern="^[A-Z]{3,5}$")
    rate_multiplier: ExactFactor | None = None
    status_batch: int = Field(default=100, ge=1, le=100)
    refill_status_batch: int = Field(default=100, ge=1, le=100)
    cancel_one_by_one: bool = False
    order_list: bool = False
    status_words: dict[str, UpstreamWord] = Field(default_factory=dict)
    any_error_is_refusal: bool = False
    known_refusals: dict[str, RefusalGroup] = Field(default_factory=dict)

    @property
    def wire_encoding(self) -> Encoding:
        """The encoding; a GET has no body to put fields into."""
        return Encoding.QUERY if self.method is Method.GET else self.encoding

    @property
    def wire_key_name(self) -> str:
        """The field or header that carries the key."""
        return self.key_name or _KEY_NAMES[self.key_in]

    def parameter(self, name: str) -> str:
        """The panel's name for a parameter of ours."""
        return self.parameter_names.get(name, name)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.method is Method.GET and self.encoding is Encoding.JSON:
            raise ValueError("encoding: a GET has no body; leave the encoding out")
        if self.key_in is KeyPlace.BEARER and self.key_name is not None:
            raise ValueError("key_name: a bearer token has none")
        _require_headers(self.headers)
        _require_wire_names("action_names", self.action_names.values())
        _require_parameters(self.parameter_names)
        if self.key_in is KeyPlace.FIELD:
            _require_wire_names("key_name", [self.wire_key_name])
            if self.wire_key_name in map(self.parameter, PARAMETERS):
                raise ValueError(f"key_name: {self.wire_key_name} is another parameter's name")
        else:
            _require_headers({self.wire_key_name: ""})
            if self.wire_key_name.lower() in {name.lower() for name in self.headers}:
                raise ValueError(f"headers: {self.wire_key_name} is where the key goes")
        return self


def is_header_value(text: str) -> bool:
    """Whether a text can be a header's value."""
    return _HEADER_VALUE.fullmatch(text) is not None


def _require_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if name.lower() in _OUR_HEADERS:
            raise ValueError(f"headers: {name} is not for an account to set")
        if not _HEADER_NAME.fullmatch(name) or not is_header_value(value):
            raise ValueError(f"headers: {name!r} or its value is not plain ASCII on one line")


def _require_wire_names(option: str, names: Iterable[str]) -> None:
    for name in names:
        if not _WIRE_NAME.fullmatch(name):
            raise ValueError(f"{option}: {name!r} is not a name")


def _require_parameters(names: Mapping[str, str]) -> None:
    unknown = sorted(names.keys() - PARAMETERS)
    if unknown:
        raise ValueError(f"parameter_names: we send no {unknown[0]!r}")
    _require_wire_names("parameter_names", names.values())
    used = [names.get(name, name) for name in sorted(PARAMETERS)]
    for name in used:
        if used.count(name) > 1:
            raise ValueError(f"parameter_names: two parameters are called {name}")
