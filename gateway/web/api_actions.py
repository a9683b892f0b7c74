"""What the panel API can do, action by action, with examples: the data behind its documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.parameters import Parameter, ParameterKind
from schemas.services import SERVICE_TYPES

_ORDER = "The id that add returned."
_TEXT = ParameterKind.TEXT


def _text(name: str, about: str, example: str, *, required: bool = False) -> Parameter:
    return Parameter(name, _TEXT, about, example, required=required)


def _ids(name: str, about: str) -> Parameter:
    return Parameter(name, ParameterKind.LIST, about, "1,2", required=False)


EXTERNAL_ID = Parameter(
    "external_id",
    _TEXT,
    "Your own name for the order: 1 to 255 printable ASCII characters, the same in every"
    " repetition. Also taken as request_id, idempotency_key, or in the header Idempotency-Key.",
    "shop-81723",
    required=False,
    most=255,
)
_ORDER_ID = _text("order", _ORDER, "23501")
_SERVICE = _text("service", "A service's id, from services.", "1", required=True)


@dataclass(frozen=True, slots=True)
class Example:
    """A call, without key and action, and its answer."""

    title: str
    request: Mapping[str, str]
    answer: Any


@dataclass(frozen=True, slots=True)
class Action:
    """One action: ``parameters`` besides key and action; for ``add`` those that all types have."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    examples: tuple[Example, ...]
    aliases: tuple[str, ...] = ()


_TOLD = {
    "charge": "0.27819",
    "start_count": "3572",
    "status": "Partial",
    "remains": "157",
    "currency": "USD",
}
_WRONG = {"error": "Incorrect order ID"}

ACTIONS = (
    Action(
        "services",
        "All services that you can order, with your prices. rate is for 1,000 pieces, for the types"
        " Package and Custom Comments Package for one order. Read it every few hours, not before"
        " each order.",
        (),
        (
            Example(
                "All services",
                {},
                [
                    {
                        "service": 1,
                        "name": "Followers, 30 days kept",
                        "type": "Default",
                        "category": "Instagram",
                        "rate": "0.90",
                        "min": "50",
                        "max": "10000",
                        "dripfeed": True,
                        "refill": True,
                        "cancel": True,
                    }
                ],
            ),
        ),
    ),
    Action(
        "add",
        "Places an order and charges it at once. Which parameters it takes depends on the type of"
        " the service; others are ignored. The answer comes before anything is sent on; an order"
        " that nobody takes becomes Canceled and is refunded in full.",
        (_SERVICE, EXTERNAL_ID),
        (
            Example(
                "A Default order",
                {"service": "1"}
                | SERVICE_TYPES["Default"].example
                | {"external_id": EXTERNAL_ID.example},
                {"order": 23501},
            ),
            Example(
                "Not enough money",
                {"service": "1"} | SERVICE_TYPES["Default"].example,
                {"error": "Not enough funds on balance"},
            ),
        ),
        ("create",),
    ),
    Action(
        "status",
        "Where orders are. remains counts what is not delivered; charge is what you pay in the end,"
        " so it falls when a part is refunded. Ask for up to 100 orders in one call; then each"
        " answer stands under its id as you wrote it.",
        (_ORDER_ID, _ids("orders", "Up to 100 ids, separated by commas."), EXTERNAL_ID),
        (
            Example("One order", {"order": "23501"}, _TOLD),
            Example("Several orders", {"orders": "23501,2"}, {"23501": _TOLD, "2": _WRONG}),
            Example("By your own name", {"external_id": EXTERNAL_ID.example}, _TOLD),
        ),
        ("orders", "statuses", "multi_status", "multi-status", "multistatus"),
    ),
    Action(
        "refill",
        "Asks for what was lost after the end of an order that is Completed or Partial, for"
        " services with refill. It is a request: the upstream may still decline it, which"
        " refill_status tells.",
        (_ORDER_ID, _ids("orders", "Up to 100 ids, separated by commas.")),
        (
            Example("One order", {"order": "23501"}, {"refill": "1"}),
            Example(
                "Several orders",
                {"orders": "23501,2"},
                [{"order": 23501, "refill": 1}, {"order": 2, "refill": _WRONG}],
            ),
        ),
    ),
    Action(
        "refill_status",
        "Where refills are: Pending, In progress, Completed, Rejected or Error.",
        (
            _text("refill", "The id that refill returned.", "1"),
            _ids("refills", "Up to 100 ids, separated by commas."),
        ),
        (
            Example("One refill", {"refill": "1"}, {"status": "Completed"}),
            Example(
                "Several refills",
                {"refills": "1,2"},
                [
                    {"refill": 1, "status": "Rejected"},
                    {"refill": 2, "status": {"error": "Refill not found"}},
                ],
            ),
        ),
    ),
    Action(
        "cancel",
        "Asks to stop orders: those of services with cancel, and every drip-feed. What was not sent"
        " yet is canceled at once; else 1 means that the request was taken: the order becomes"
        " Canceled or Partial and is refunded, or completes after all.",
        (_ids("orders", "Up to 100 ids, separated by commas."), _ORDER_ID),
        (
            Example(
                "Several orders",
                {"orders": "23501,2"},
                [{"order": 23501, "cancel": 1}, {"order": 2, "cancel": _WRONG}],
            ),
            Example(
                "One order",
                {"order": "23501"},
                {
                    "order": 23501,
                    "cancel": 1,
                    "id": 23501,
                    "status": "success",
                    "success": "Cancel request accepted",
                    "ok": "true",
                },
            ),
        ),
    ),
    Action(
        "balance",
        "What you have, in the currency of all your prices.",
        (),
        (Example("The balance", {}, {"balance": "100.84292", "currency": "USD"}),),
    ),
)
