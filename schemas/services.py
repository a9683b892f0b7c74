"""Service types as data: which parameters an order of each type has, and what it costs.

Everything that depends on the type reads this table: intake validates by it, pricing counts by
it, dispatch sends by it, and an upstream's catalogue is imported by it.
"""

from dataclasses import dataclass
from enum import StrEnum


class ParameterKind(StrEnum):
    """How the text of a parameter is read."""

    LINK = "link"
    QUANTITY = "quantity"
    LINES = "lines"  # one value a line; empty lines do not count


class Pricing(StrEnum):
    """What the service's rate pays for."""

    PER_THOUSAND = "per_thousand"
    PER_ORDER = "per_order"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One required parameter of a service type, by its name on the wire."""

    name: str
    kind: ParameterKind


@dataclass(frozen=True, slots=True)
class ServiceType:
    """One type of service.

    ``counted`` names the parameter whose value (or number of lines) is the order's quantity;
    None means that an order is one package, whatever quantity a client sends.
    """

    name: str
    parameters: tuple[Parameter, ...]
    pricing: Pricing
    counted: str | None
    aliases: tuple[str, ...] = ()


_LINK = Parameter("link", ParameterKind.LINK)
_QUANTITY = Parameter("quantity", ParameterKind.QUANTITY)
_COMMENTS = Parameter("comments", ParameterKind.LINES)

_TYPES = (
    ServiceType("Default", (_LINK, _QUANTITY), Pricing.PER_THOUSAND, "quantity"),
    ServiceType("Package", (_LINK,), Pricing.PER_ORDER, None),
    ServiceType(
        "Custom Comments",
        (_LINK, _COMMENTS),
        Pricing.PER_THOUSAND,
        "comments",
        aliases=("Custom Comment",),
    ),
)

SERVICE_TYPES: dict[str, ServiceType] = {kind.name: kind for kind in _TYPES}


def _folded(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


_BY_FOLDED_NAME = {
    _folded(spelling): kind for kind in _TYPES for spelling in (kind.name, *kind.aliases)
}


def find_service_type(text: str) -> ServiceType | None:
    """The type that ``text`` names, in whatever case, spacing or known spelling; else None."""
    return _BY_FOLDED_NAME.get(_folded(text))
