"""One deed on many orders: each in a transaction of its own, so that one refusal stops no other.

Every order has a request of its own, made of the bulk's and its id: a bulk that is run again, or
taken up by another worker, does nothing twice.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.errors import UserError
from gateway.orders.operator_acts import effect_of
from gateway.store import order_search as store
from gateway.store.connection import Pool
from schemas.money import Micros
from schemas.operators import Warrant
from schemas.order_search import OrderFilter
from schemas.order_work import Deed, Effect, Result, SeenOrder

#: So many orders are acted on at once at most; more is two filters.
MOST_ORDERS = 10_000
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Bulk:
    """What a bulk did, or would do, order by order."""

    effects: tuple[Effect, ...]

    @property
    def refund(self) -> Micros:
        """The money that all of it pays back."""
        return sum(effect.refund for effect in self.effects)

    @property
    def numbers(self) -> dict[Result, int]:
        """How many orders ended in which way."""
        return dict(Counter(effect.result for effect in self.effects))


async def find_orders(pool: Pool, wanted: OrderFilter) -> list[SeenOrder]:
    """The orders that a bulk is for, as they are now, the oldest first.

    Raises:
        UserError: for a filter that names nothing, or means too many orders.
    """
    if not wanted.narrow:
        raise UserError("say which orders: a bulk action needs at least one filter")
    found: list[SeenOrder] = []
    async with pool.acquire() as conn:
        while len(found) <= MOST_ORDERS:
            last = found[-1].id if found else 0
            page = await store.list_seen_orders(conn, wanted, after_id=last, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found
    raise UserError(f"that means more than {MOST_ORDERS} orders: narrow the filter")


async def run_bulk(
    pool: Pool,
    seen: Sequence[SeenOrder],
    deed: Deed,
    warrant: Warrant | None,
    *,
    correction_ms: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Bulk:
    """Do something to each of the orders; without a ``warrant`` say what it would do.

    What is decided of an order holds for it as it was seen: one that was sent again is left out.
    ``tell`` hears after each order how many are done.
    """
    effects: list[Effect] = []
    for order_id, attempt in seen:
        own = None if warrant is None else _own(warrant, order_id)
        one = replace(deed, attempt=attempt)
        effects.append(await effect_of(pool, order_id, one, own, correction_ms=correction_ms))
        tell(len(effects))
    return Bulk(tuple(effects))


def _own(warrant: Warrant, order_id: int) -> Warrant:
    if warrant.request is None:
        return warrant
    return replace(warrant, request=f"{warrant.request}:{order_id}")
