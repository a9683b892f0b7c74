"""What upstream panels are asked and what they tell, cleaned: the provider contract's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class UpstreamWord(StrEnum):
    """An upstream's order status, normalised. An unknown word is ``None``, never a guess."""

    PENDING = "pending"
    PROCESSING = "processing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELED = "canceled"
    FAILED = "failed"  # "Fail"/"Error": says nothing about money, a person looks


class RefillWord(StrEnum):
    """The state of a refill, normalised. An unknown word is ``None``, never a guess."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    REJECTED = "rejected"  # also what panels call canceled: there will be no refill
    FAILED = "failed"  # "Error": a person looks


class RefusalGroup(StrEnum):
    """Whom a refusal concerns, which decides what may follow."""

    ORDER = "order"  # this order's link, quantity, texts: the next route, or the money back
    SERVICE = "service"  # the upstream's service is gone: the next route, or the money back
    ACCOUNT = "account"  # our account there (funds, key): the provider is set aside
    TEMPORARY = "temporary"  # busy, limits, active link: later, same provider


@dataclass(frozen=True, slots=True)
class Submission:
    """One order as an upstream sees it; nothing in it identifies the reseller.

    ``parameters`` are the panel API's names (``link``, ``quantity``, ``comments`` …) and texts.
    """

    service: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one request to an upstream looked like from outside; kept as evidence on the attempt.

    ``status`` is None when no answer began. ``body`` is the beginning of the answer as text, at
    most 2,048 characters, with the provider's key masked. ``sent`` is False only when it is proved
    that no byte of the request left. ``retry_after`` is in seconds, where the upstream named one.
    """

    sent: bool
    elapsed_ms: int
    status: int | None = None
    body: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """The upstream took the order and named it. ``upstream_id`` is text of 1 to 64 characters."""

    upstream_id: str
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """What an upstream says of one order, cleaned; ``None`` means that it said nothing usable.

    ``word`` is None when the raw word is not known or the answer for this id was an ``error``.
    ``remains`` is the integer as the upstream sent it, which may lie outside 0..quantity.
    ``charge`` is in the currency of the provider account. A subscription names the orders that it
    has made so far and how many posts it has served.
    """

    word: UpstreamWord | None
    raw_word: str = ""
    start_count: int | None = None
    remains: int | None = None
    charge: Decimal | None = None
    currency: str | None = None
    error: str | None = None
    orders: tuple[str, ...] = ()
    posts: int | None = None


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """One row of an upstream's list of an account's orders; ``None`` is what it does not say.

    ``ordered_at`` is there only where the upstream named its time zone: most panels print a local
    time and do not say whose.
    """

    upstream_id: str
    service: str | None = None
    link: str | None = None
    quantity: int | None = None
    ordered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderListing:
    """The newest orders of an account, in no order that could be relied on.

    ``unread`` is the number of rows that name no order: with any, nothing is known to be absent.
    """

    orders: tuple[ListedOrder, ...] = ()
    unread: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamRefill:
    """What an upstream says of one refill. ``error`` is its refusal to say anything of it."""

    word: RefillWord | None
    raw_word: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class UpstreamBalance:
    """What an account holds at its upstream, less than nothing where debts are possible.

    ``currency`` is an upper-case code, where told.
    """

    amount: Decimal
    currency: str | None


@dataclass(frozen=True, slots=True)
class UpstreamService:
    """One sound row of an upstream's catalogue. ``rate`` is per 1,000 in the account's currency.

    ``type`` is the wire spelling of a known type, or the upstream's own text where
    ``type_known`` is False. ``minimum`` and ``maximum`` lie within 1..2,147,483,647.
    """

    service: str
    name: str
    category: str
    type: str
    type_known: bool
    rate: Decimal
    minimum: int
    maximum: int
    refill: bool
    cancel: bool
    dripfeed: bool


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A catalogue row that cannot be sold, and why, in words for an operator."""

    service: str
    reason: str


@dataclass(frozen=True, slots=True)
class UpstreamCatalogue:
    """An upstream's catalogue: the rows that can be sold, and those that cannot."""

    services: tuple[UpstreamService, ...]
    refused: tuple[RefusedRow, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """The answer to one refill or cancel request: taken under ``request_id``, or refused.

    ``request_id`` is None where the upstream took the request and named none.
    """

    taken: bool
    request_id: str | None = None
    error: str | None = None
