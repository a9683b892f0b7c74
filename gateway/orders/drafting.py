"""From a client's fields to an order that can be charged: checked and priced by its type."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TypeAlias

from schemas import panel_v2 as wire
from schemas.catalogue import Service
from schemas.money import RATE_STEP, Micros, charge_of, parse_amount
from schemas.order_parameters import INTERVAL, MAX_CHARGE, QUANTITY, RUNS
from schemas.orders import NamedOrder
from schemas.panel_v2 import PanelError
from schemas.parameters import (
    MAX_INT,
    Parameter,
    ParameterKind,
    pieces_in,
    read_day,
    read_value,
    read_whole,
)
from schemas.resellers import DuplicatePolicy
from schemas.services import SERVICE_TYPES, ServiceType

#: Gives the client's texts of the parameters that a type takes.
Read: TypeAlias = Callable[[Iterable[Parameter]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Draft:
    """What one reseller wants: a sound order at the price of one catalogue version.

    ``quantity`` is all that is charged, over every run of a drip-feed; ``interval`` is in minutes.
    ``external_id`` is the reseller's own name for it, under which it is placed at most once;
    ``duplicates`` says what becomes of a repetition without a name. A ``paused`` one is not placed,
    but an order that was placed before is found by it; so is one with a ``refusal``, which is what
    the client hears if there is none.
    """

    reseller_id: int
    currency: str
    service: Service
    link: str
    quantity: int
    parameters: str | None
    charge: Micros
    request_id: str
    external_id: str | None = None
    duplicates: DuplicatePolicy = DuplicatePolicy.ALLOW
    runs: int | None = None
    interval: int | None = None
    max_charge: Micros | None = None
    paused: bool = False
    refusal: str | None = None

    @property
    def per_run(self) -> int:
        """The quantity of each run; of an order without drip-feed, all of it."""
        return self.quantity // (self.runs or 1)


def utc_today() -> date:
    """The day it is, in UTC."""
    return datetime.now(UTC).date()


def draft_order(  # noqa: PLR0913 - what a draft says
    service: Service,
    fields: Mapping[str, str],
    *,
    reseller_id: int,
    currency: str,
    request_id: str,
    external_id: str | None = None,
    duplicates: DuplicatePolicy = DuplicatePolicy.ALLOW,
    paused: bool = False,
    today: Callable[[], date] = utc_today,
) -> Draft:
    """Check an ``add`` against its service's type and price it.

    Raises:
        PanelError: with the text that the client gets.
    """
    kind = SERVICE_TYPES[service.type]
    values = _values(kind, fields, today, keep_links=service.keep_links)
    runs, interval = _drip_feed(fields)
    limit = _option(fields, MAX_CHARGE)
    max_charge = None if limit is None else parse_amount(limit)
    quantity, charge = _priced(service, values, runs, max_charge)
    link = values.pop(kind.target.name)
    values.pop(QUANTITY.name, None)
    return Draft(
        reseller_id=reseller_id,
        currency=currency,
        service=service,
        link=link,
        quantity=quantity,
        parameters=json.dumps(values) if values else None,
        charge=charge,
        request_id=request_id,
        external_id=external_id,
        duplicates=duplicates,
        runs=runs,
        interval=interval,
        max_charge=max_charge,
        paused=paused,
    )


def draft_repeat(
    service: Service, read: Read, *, reseller_id: int, currency: str, request_id: str
) -> Draft:
    """An ``add`` as its service would have taken it before it was changed, only to find its order.

    Raises:
        PanelError: when it was never an order of the service's type.
    """
    taken = [p for p in SERVICE_TYPES[service.type].accepted if p is not MAX_CHARGE]
    without_limits = replace(
        service, rate=RATE_STEP, minimum=1, maximum=MAX_INT, step=1, dripfeed=True
    )
    return draft_order(
        without_limits,
        read(taken),
        reseller_id=reseller_id,
        currency=currency,
        request_id=request_id,
        today=lambda: date.min,
    )


def redraft(draft: Draft, service: Service) -> Draft:
    """The same order at the price of another catalogue version; nothing of it is read again.

    Raises:
        PanelError: when the service no longer takes it, or it now costs more than it may.
    """
    if service.type != draft.service.type:
        raise PanelError(wire.INCORRECT_SERVICE)
    values = json.loads(draft.parameters or "{}") | {QUANTITY.name: str(draft.per_run)}
    _, charge = _priced(service, values, draft.runs, draft.max_charge)
    return replace(draft, service=service, charge=charge)


def is_repeat(draft: Draft, earlier: NamedOrder) -> bool:
    """Whether a draft asks again for the order that was placed under its external id."""
    return (
        (draft.service.id, draft.link, draft.quantity, draft.runs, draft.interval)
        == (
            earlier.service_id,
            earlier.link,
            earlier.quantity,
            earlier.runs,
            earlier.interval_minutes,
        )
    ) and json.loads(draft.parameters or "{}") == json.loads(earlier.parameters or "{}")


def _values(
    kind: ServiceType, fields: Mapping[str, str], today: Callable[[], date], *, keep_links: bool
) -> dict[str, str]:
    """The canonical values of what the type takes."""
    values: dict[str, str] = {}
    for parameter in kind.parameters:
        text = fields.get(parameter.name)
        value = parameter.default
        if text is not None:
            value = read_value(parameter, text, keep_links=keep_links) or value
        if value is not None:
            if parameter.kind is ParameterKind.DATE and _is_past(value, today()):
                raise PanelError(wire.incorrect(parameter.name))
            values[parameter.name] = value
        elif parameter.required:
            raise PanelError(wire.INCORRECT_REQUEST)
    for parameter in kind.conditional:
        if parameter.needed_when is not None and parameter.name not in values:
            other, needing = parameter.needed_when
            if values.get(other) == needing:
                raise PanelError(wire.INCORRECT_REQUEST)
    return values


def _is_past(value: str, today: date) -> bool:
    day = read_day(value)
    return day is None or day < today


def _option(fields: Mapping[str, str], parameter: Parameter) -> str | None:
    text = fields.get(parameter.name)
    return None if text is None else read_value(parameter, text)


def _drip_feed(fields: Mapping[str, str]) -> tuple[int, int] | tuple[None, None]:
    """Runs and the minutes between them, or nothing for an ordinary order."""
    runs = _option(fields, RUNS)
    if runs in ("0", "1") or (runs is None and _is_zero(fields.get(INTERVAL.name))):
        return None, None
    interval = _option(fields, INTERVAL)
    if (runs is None) != (interval is None):
        raise PanelError(wire.INCORRECT_REQUEST)
    if runs is None or interval is None:
        return None, None
    return int(runs), int(interval)


def _is_zero(text: str | None) -> bool:
    return (number := wire.given(text)) is not None and read_whole(number) == 0


def _priced(
    service: Service, values: Mapping[str, str], runs: int | None, max_charge: Micros | None
) -> tuple[int, Micros]:
    """Quantity and charge of all runs, from values that are canonical."""
    kind = SERVICE_TYPES[service.type]
    if runs is not None and not (kind.dripfeed and service.dripfeed):
        raise PanelError(wire.INCORRECT_REQUEST)
    _check_limits(kind, service, values)
    if kind.counted is None:
        quantity, charge = 1, service.rate
    else:
        each = pieces_in(kind.counted, values[kind.counted.name])
        times = (runs or 1) * _times(kind, values)
        if each * times > MAX_INT:
            raise PanelError(wire.above_maximum(MAX_INT // times))
        quantity = each * times
        charge = charge_of(service.rate, quantity)
    if max_charge is not None and charge > max_charge:
        raise PanelError(wire.PRICE_CHANGED)
    return quantity, charge


def _times(kind: ServiceType, values: Mapping[str, str]) -> int:
    if not kind.times:
        return 1
    times = sum(int(values.get(parameter.name, "0")) for parameter in kind.times)
    if times == 0:
        # Without an end there is nothing that could be paid in advance.
        raise PanelError(wire.incorrect(kind.times[0].name))
    return times


def _check_limits(kind: ServiceType, service: Service, values: Mapping[str, str]) -> None:
    least = 0
    for parameter in kind.limited:
        pieces = pieces_in(parameter, values[parameter.name])
        _check_range(pieces, service)
        if pieces < least:
            raise PanelError(wire.incorrect(kind.limited[0].name))
        least = pieces


def _check_range(quantity: int, service: Service) -> None:
    if quantity < service.minimum:
        raise PanelError(wire.below_minimum(service.minimum))
    if quantity > service.maximum:
        raise PanelError(wire.above_maximum(service.maximum))
    if quantity % service.step:
        raise PanelError(wire.not_a_multiple(service.step))
