"""What is left after a run with faults, as the rules look at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.money import Micros
from tests.faults.journal import Add, BalanceRead, Moment, Request, Sight


@dataclass(frozen=True, slots=True)
class Kept:
    """One order as the database has it, with the charges that the ledger has for it."""

    id: int
    reseller_id: int
    link: str
    quantity: int
    state: str
    upstream_id: str | None
    rate: Micros
    charge: Micros
    refunded: Micros
    charges: tuple[Micros, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One reseller's money: what it was given, what it has, and (signed, balance after) between."""

    funds: Micros
    balance: Micros
    entries: tuple[tuple[Micros, Micros], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the whole bank in one instant: stored balances, and what their entries make."""

    at: Moment
    balances: Micros
    entries: Micros


@dataclass(frozen=True, slots=True)
class AskedRefill:
    """One refill as the database has it; ``taken`` is how many the panel took for its order."""

    id: int
    order_id: int
    state: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is left after a run.

    ``accepted`` are (upstream id, link) as the panels logged them; ``upstream`` is what they say of
    each order now, by link; ``refilled`` how many refills they took of each upstream order.
    ``alone`` are the resellers with one client, whose orders are never refunded. ``leaks`` are the
    planted secrets that were found in what the run printed, each with where.
    """

    adds: Sequence[Add]
    orders: Sequence[Kept]
    accepted: Sequence[tuple[str, str]]
    statements: Mapping[int, Statement]
    sights: Sequence[Sight] = ()
    balances: Sequence[BalanceRead] = ()
    requests: Sequence[Request] = ()
    snapshots: Sequence[Snapshot] = ()
    upstream: Mapping[str, str] | None = None
    refills: Sequence[AskedRefill] = ()
    refilled: Mapping[str, int] | None = None
    alone: frozenset[int] = frozenset()
    leaks: Sequence[str] = ()
