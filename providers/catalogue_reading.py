"""Reading an upstream's catalogue: sound rows, and the others with the reason in words."""

from collections.abc import Iterator
from decimal import Decimal

from providers.decoding import (
    Json,
    Unreadable,
    clean,
    first_of,
    folded,
    is_true,
    read_amount,
    read_text,
    read_whole,
)
from schemas.services import find_service_type
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService

#: What panels write for "no limit", and the largest quantity that a service may have.
UNLIMITED = 2_147_483_647
_LONGEST_NAME = 255
_LONGEST_ID = 64
_EMPTY = "empty data"  # one script answers this where others answer []
_NEEDED = ("service", "name", "rate", "min", "max")


class _BadRow(ValueError):
    """Why a row cannot be sold."""


def read_catalogue(payload: Json) -> UpstreamCatalogue:
    """The catalogue in an answer: a list, a list under a name, or an object keyed by id.

    Raises:
        Unreadable: when the answer is no catalogue, or one whose rows have other field names.
    """
    rows = list(_rows_of(payload))
    _require_known_fields(rows)
    services: list[UpstreamService] = []
    refused: list[RefusedRow] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        service = read_text(row.get("service"), _LONGEST_ID + 1)
        try:
            if service in seen:
                raise _BadRow("another row has the same id")
            services.append(_read_service(service, row))
            seen.add(service)
        except _BadRow as reason:
            refused.append(RefusedRow(service[:_LONGEST_ID] or f"row {number}", str(reason)))
    return UpstreamCatalogue(tuple(services), tuple(refused))


def _rows_of(payload: Json) -> Iterator[dict[str, Json]]:
    match payload:
        case list():
            yield from (folded(row) if isinstance(row, dict) else {} for row in payload)
            return
        case {"services": list() as rows} | {"data": list() as rows}:
            yield from _rows_of(rows)
            return
        case {"services": dict() as rows} | {"data": dict() as rows}:
            yield from _rows_of(rows)
            return
        case {"data": str() as text} if text.strip().casefold() == _EMPTY:
            return
        case dict() if payload and all(isinstance(row, dict) for row in payload.values()):
            for key, row in payload.items():
                if isinstance(row, dict):
                    yield {"service": key, **folded(row)}
            return
    raise Unreadable("an answer that is no catalogue")


def _require_known_fields(rows: list[dict[str, Json]]) -> None:
    """Rows of another API are a wrong configuration, not a catalogue of bad rows."""
    if rows and not any("service" in row and "rate" in row for row in rows):
        found = clean(", ".join(sorted(rows[0])), 200) or "none"
        raise Unreadable(f"rows with the fields {found}; needed are {', '.join(_NEEDED)}")


def _read_service(service: str, row: dict[str, Json]) -> UpstreamService:
    if not service or len(service) > _LONGEST_ID or " " in service:
        raise _BadRow("the service id is not usable")
    minimum, maximum = _read_limits(row)
    text = read_text(row.get("type"), _LONGEST_NAME) or "Default"
    known = find_service_type(text)
    return UpstreamService(
        service=service,
        name=_read_name(row),
        category=read_text(row.get("category"), _LONGEST_NAME),
        type=known.name if known else text,
        type_known=known is not None,
        rate=_read_rate(row),
        minimum=minimum,
        maximum=maximum,
        refill=is_true(row.get("refill")),
        cancel=is_true(row.get("cancel")),
        dripfeed=is_true(row.get("dripfeed")),
    )


def _read_name(row: dict[str, Json]) -> str:
    name = read_text(row.get("name"), _LONGEST_NAME)
    if not name:
        raise _BadRow("the name is empty")
    if not any(character.isalnum() for character in name):
        raise _BadRow("the name is a separator: a heading, not a service")
    return name


def _read_rate(row: dict[str, Json]) -> Decimal:
    rate = read_amount(row.get("rate"))
    if rate is None:
        raise _BadRow("the rate is not a number")
    if rate <= 0:
        raise _BadRow("the rate is not above 0")
    return rate


def _read_limits(row: dict[str, Json]) -> tuple[int, int]:
    minimum = read_whole(first_of(row, "min", "minimum"))
    maximum = _read_maximum(first_of(row, "max", "maximum"))
    if minimum is None or maximum is None:
        raise _BadRow("min or max is not a whole number")
    if minimum < 0:
        raise _BadRow("min is negative")
    # Live catalogues hold good services with min 0; one piece is the least that can be ordered.
    minimum = max(1, minimum)
    if minimum > maximum:
        raise _BadRow("min is above max")
    return minimum, maximum


def _read_maximum(value: Json) -> int | None:
    """``max`` as a quantity; whatever is larger than any quantity means "no limit"."""
    whole = read_whole(value)
    return None if whole is None else min(whole, UNLIMITED)
