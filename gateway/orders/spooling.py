"""What goes into the spool of an order's submission, and how it is read back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from gateway.orders.failover import Outcome, Withheld
from providers.errors import Ambiguous, Rejected, Unavailable
from schemas.orders import ClaimedOrder
from schemas.providers import ProviderRecord
from schemas.upstream import Exchange, Placed, RefusalGroup


@dataclass(frozen=True, slots=True)
class SpooledOrder:
    """As much of a claimed order as its outcome needs; ``attempts`` is the attempt's number.

    ``started_at`` is None in what older versions have written.
    """

    id: int
    attempts: int
    request_id: str
    started_at: datetime | None


SentOrder: TypeAlias = ClaimedOrder | SpooledOrder


def spooled_outcome(provider: ProviderRecord, order: SentOrder, outcome: Outcome) -> dict[str, Any]:
    """The outcome of a submission as JSON can hold it."""
    exchange = outcome.exchange
    return {
        "provider_id": provider.id,
        "order_id": order.id,
        "number": order.attempts,
        "request_id": order.request_id,
        "started_at": order.started_at and order.started_at.isoformat(),
        "outcome": type(outcome).__name__,
        "upstream_id": outcome.upstream_id if isinstance(outcome, Placed) else None,
        "reason": None if isinstance(outcome, Placed) else str(outcome),
        "refusal": outcome.group if isinstance(outcome, Rejected) else None,
        "elsewhere": isinstance(outcome, Withheld) and outcome.elsewhere,
        "exchange": exchange
        and {
            "sent": exchange.sent,
            "elapsed_ms": exchange.elapsed_ms,
            "status": exchange.status,
            "body": exchange.body,
        },
    }


def read_outcome(record: Mapping[str, Any]) -> tuple[int, SpooledOrder, Outcome]:
    """The provider's id, the order, and the outcome that ``spooled_outcome`` was given.

    Raises:
        KeyError, TypeError, ValueError: for a record that another version has written.
    """
    began = record.get("started_at")
    started_at = datetime.fromisoformat(began) if began else None
    order = SpooledOrder(record["order_id"], record["number"], record["request_id"], started_at)
    told = record["exchange"]
    exchange = Exchange(**told) if told else None
    reason = record["reason"]
    outcome: Outcome
    match record["outcome"]:
        case "Placed":
            if exchange is None:
                raise ValueError("an order was placed without an exchange")
            outcome = Placed(record["upstream_id"], exchange)
        case "Rejected":
            outcome = Rejected(reason, RefusalGroup(record["refusal"]), exchange)
        case "Withheld":
            outcome = Withheld(reason, elsewhere=record["elsewhere"])
        case "Unavailable":
            outcome = Unavailable(reason, exchange)
        case "Ambiguous":
            outcome = Ambiguous(reason, exchange)
        case unknown:
            raise ValueError(f"{unknown} is no outcome")
    return record["provider_id"], order, outcome
