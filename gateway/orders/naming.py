"""The resellers' own names for orders: whoever repeats a name gets the order that has it."""

from collections.abc import Iterable

from gateway.orders.drafting import Draft, is_repeat
from gateway.store import external_ids as store
from gateway.store.connection import Connection
from schemas.orders import NamedOrder
from schemas.panel_v2 import EXTERNAL_ID_USED, PanelError


class Names:
    """The external ids of one group of drafts: those that were used before, and those now given.

    Read after the balances are locked, so that a twin in another process has committed or waits.
    """

    def __init__(self, known: dict[tuple[int, str], NamedOrder]) -> None:
        self._known = known
        self._given: dict[tuple[int, str], int] = {}

    @classmethod
    async def open(cls, conn: Connection, drafts: Iterable[Draft]) -> "Names":
        """Look up the names that the drafts carry."""
        wanted = [(d.reseller_id, d.external_id) for d in drafts if d.external_id is not None]
        return cls(await store.list_named_orders(conn, wanted) if wanted else {})

    def earlier(self, draft: Draft) -> int | PanelError | None:
        """The order that was placed under the draft's name, or a refusal if it was another one."""
        if draft.external_id is None:
            return None
        order = self._known.get((draft.reseller_id, draft.external_id))
        if order is None:
            return None
        return order.id if is_repeat(draft, order) else PanelError(EXTERNAL_ID_USED)

    def give(self, draft: Draft, order_id: int) -> None:
        """The draft became this order: the name is its."""
        if draft.external_id is not None:
            name = (draft.reseller_id, draft.external_id)
            self._given[name] = order_id
            self._known[name] = NamedOrder(
                order_id,
                draft.service.id,
                draft.link,
                draft.quantity,
                draft.parameters,
                draft.runs,
                draft.interval,
            )

    async def write(self, conn: Connection) -> None:
        """Write the names that were given."""
        if self._given:
            await store.insert_external_ids(conn, self._given)
