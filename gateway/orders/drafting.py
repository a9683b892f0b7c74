"""From a client's fields to an order that can be charged: checked and priced by its type."""

import json
from dataclasses import dataclass, replace

from schemas import panel_v2 as wire
from schemas.catalogue import Service
from schemas.money import Micros, charge_of
from schemas.orders import NamedOrder
from schemas.panel_v2 import PanelError
from schemas.resellers import DuplicatePolicy
from schemas.services import SERVICE_TYPES, Parameter, ParameterKind, Pricing


@dataclass(frozen=True, slots=True)
class Draft:
    """What one reseller wants: a sound order at the price of one catalogue version.

    ``external_id`` is the reseller's own name for it, under which it is placed at most once;
    ``duplicates`` says what becomes of a repetition without a name.
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


def draft_order(
    service: Service, fields: dict[str, str], *, reseller_id: int, currency: str, request_id: str
) -> Draft:
    """Check an ``add`` against its service's type and price it.

    Raises:
        PanelError: with the text that the client gets.
    """
    kind = SERVICE_TYPES[service.type]
    link, quantity = "", 1
    further: dict[str, str] = {}
    for parameter in kind.parameters:
        text = _required(fields, parameter)
        if parameter.kind is ParameterKind.LINK:
            link = wire.read_link(text)
        elif parameter.kind is ParameterKind.QUANTITY:
            quantity = wire.read_quantity(text)
        else:
            lines = _lines(text, parameter.name)
            further[parameter.name] = "\n".join(lines)
            if kind.counted == parameter.name:
                quantity = len(lines)
    if kind.counted is not None:
        _check_range(quantity, service)
    per_order = kind.pricing is Pricing.PER_ORDER
    return Draft(
        reseller_id=reseller_id,
        currency=currency,
        service=service,
        link=link,
        quantity=quantity,
        parameters=json.dumps(further) if further else None,
        charge=service.rate if per_order else charge_of(service.rate, quantity),
        request_id=request_id,
    )


def redraft(draft: Draft, service: Service) -> Draft:
    """The same order at the price of another catalogue version.

    Raises:
        PanelError: when the service no longer takes it.
    """
    fields = {"link": draft.link, "quantity": str(draft.quantity)}
    priced = draft_order(
        service,
        fields | json.loads(draft.parameters or "{}"),
        reseller_id=draft.reseller_id,
        currency=draft.currency,
        request_id=draft.request_id,
    )
    return replace(priced, external_id=draft.external_id, duplicates=draft.duplicates)


def is_repeat(draft: Draft, earlier: NamedOrder) -> bool:
    """Whether a draft asks again for the order that was placed under its external id."""
    return (
        (draft.service.id, draft.link, draft.quantity)
        == (earlier.service_id, earlier.link, earlier.quantity)
    ) and json.loads(draft.parameters or "{}") == json.loads(earlier.parameters or "{}")


def _required(fields: dict[str, str], parameter: Parameter) -> str:
    text = fields.get(parameter.name)
    if parameter.kind is ParameterKind.QUANTITY:
        text = wire.given(text)
    if text is None:
        raise PanelError(wire.INCORRECT_REQUEST)
    return text


def _lines(text: str, name: str) -> list[str]:
    # Neither fits into the database, where it would take the whole group down.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise PanelError(wire.incorrect(name))
    lines = wire.read_lines(text)
    if not lines:
        raise PanelError(wire.INCORRECT_REQUEST)
    return lines


def _check_range(quantity: int, service: Service) -> None:
    if quantity < service.minimum:
        raise PanelError(wire.below_minimum(service.minimum))
    if quantity > service.maximum:
        raise PanelError(wire.above_maximum(service.maximum))
