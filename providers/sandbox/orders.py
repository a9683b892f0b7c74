"""An order as the sandbox accepted it: read from a request, kept as a journal line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from providers.sandbox.catalogue import CATALOGUE, Service
from providers.sandbox.faults import Fault, Manner, parse_fault
from providers.sandbox.forms import Refused, count_of, repeats_of
from providers.sandbox.progress import Moment, Plan
from schemas.money import Micros, format_amount, parse_amount
from schemas.orders import WireStatus

#: Request parameters that say nothing about the order itself.
_NOT_KEPT = frozenset({"key", "action", "service", "link", "quantity"})


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that would be accepted, money and links apart.

    ``quantity`` is everything that is paid for, over all runs; ``link`` is the account's name
    where the type has no link.
    """

    service: Service
    link: str
    quantity: int
    charge: Micros
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order. It never changes; where it stands follows from it and the time.

    ``parent`` is the subscription whose post this order serves; it is paid there.
    """

    number: int
    at: Moment
    service: Service
    link: str
    quantity: int
    charge: Micros
    parameters: Mapping[str, str]
    faults: tuple[Fault, ...]
    parent: int | None = None

    @property
    def posts(self) -> int:
        """How many posts a subscription serves; 0 for every other order."""
        if self.service.kind != "Subscriptions" or self.parent is not None:
            return 0
        return self.quantity // int(self.parameters["max"])

    @property
    def plan(self) -> Plan:
        """Where the order is going."""
        plans = [fault for fault in self.faults if fault.behaviour.manner is Manner.PLAN]
        if not plans:
            return Plan(WireStatus.COMPLETED, 0)
        match plans[0]:
            case Fault("partial", percent):
                return Plan(WireStatus.PARTIAL, self.quantity * int(percent) // 100)
            case Fault("cancel", _):
                return Plan(WireStatus.CANCELED, self.quantity)
            case _:
                return Plan(None, self.quantity // 2)

    @property
    def start_count(self) -> int:
        """What the target had before: invented, and always the same for an order."""
        return self.number * 7919 % 50_000

    def record(self) -> dict[str, Any]:
        """The order as a line of the journal of accepted orders."""
        return {
            "order": self.number,
            "at": self.at,
            "service": self.service.number,
            "link": self.link,
            "quantity": self.quantity,
            "charge": format_amount(self.charge),
            "parameters": dict(self.parameters),
            "faults": [str(fault) for fault in self.faults],
        }


def order_from(record: Mapping[str, Any]) -> Order:
    """Read a line of the journal of accepted orders."""
    return Order(
        number=record["order"],
        at=record["at"],
        service=CATALOGUE[record["service"]],
        link=record["link"],
        quantity=record["quantity"],
        charge=parse_amount(record["charge"]),
        parameters=record["parameters"],
        faults=tuple(parse_fault(text) for text in record["faults"]),
    )


def accepted(draft: Draft, number: int, at: Moment, faults: Sequence[Fault]) -> Order:
    """The order that ``draft`` becomes under ``number``."""
    return Order(
        number=number,
        at=at,
        service=draft.service,
        link=draft.link,
        quantity=draft.quantity,
        charge=draft.charge,
        parameters=draft.parameters,
        faults=tuple(faults),
    )


def serving(parent: Order, number: int, at: Moment) -> Order:
    """The order under ``number`` that serves one post of a subscription."""
    return Order(
        number=number,
        at=at,
        service=parent.service,
        link=f"https://example.com/{parent.link}/{number}",
        quantity=parent.quantity // parent.posts,
        charge=0,
        parameters=parent.parameters,
        faults=(),
        parent=parent.number,
    )


def read_draft(parameters: Mapping[str, str]) -> Draft:
    """Read the parameters of an ``add``.

    Raises:
        Refused: with the panel's error text.
    """
    service = _service(parameters.get("service", ""))
    pieces = count_of(service.kind, parameters)
    if pieces < service.minimum:
        raise Refused(f"Quantity less than minimal {service.minimum}")
    if pieces > service.maximum:
        raise Refused(f"Quantity more than maximum {service.maximum}")
    repeats = repeats_of(service.kind, parameters)
    if repeats > 1 and not service.dripfeed and service.kind != "Subscriptions":
        raise Refused("This service does not support drip-feed")
    quantity = pieces * repeats
    return Draft(
        service=service,
        link=parameters.get("link") or parameters["username"],
        quantity=quantity,
        charge=service.charge(quantity),
        parameters={k: v for k, v in parameters.items() if k not in _NOT_KEPT},
    )


def _service(text: str) -> Service:
    if not text:
        raise Refused("Incorrect request")
    if not (text.isascii() and text.isdigit()) or int(text[:10]) not in CATALOGUE:
        raise Refused("Incorrect service ID")
    return CATALOGUE[int(text[:10])]
