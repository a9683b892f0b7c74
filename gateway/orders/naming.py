"""The resellers' own names for orders: whoever repeats a name gets the order that has it."""

from collections.abc import Iterable

from gateway.orders.drafting import Draft, Read, draft_repeat, is_repeat
from gateway.store import external_ids as store
from gateway.store import services
from gateway.store.connection import Connection, Pool
from schemas.orders import NamedOrder
from schemas.panel_v2 import EXTERNAL_ID_USED, PanelError
from schemas.services import SERVICE_TYPES


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


async def repeated_order(
    pool: Pool, name: tuple[int, str], service_id: int | None, read: Read
) -> NamedOrder | None:
    """The order that an ``add`` asks for again which would now be refused; None if it is new.

    A service may have been switched off since, or have other limits: that is no reason to tell a
    client that its order was not placed. ``name`` is (reseller id, external id); ``read`` gives
    the client's texts of the parameters that a type takes.

    Raises:
        PanelError: when the name belongs to an order with other parameters.
    """
    async with pool.acquire() as conn:
        order = (await store.list_named_orders(conn, [name])).get(name)
        service = await services.get_service(conn, order.service_id) if order else None
    kind = SERVICE_TYPES.get(service.type) if service else None
    if order is None or service is None or kind is None:
        return None
    draft = draft_repeat(service, read, reseller_id=name[0], currency="", request_id="")
    if service_id != order.service_id or not is_repeat(draft, order):
        raise PanelError(EXTERNAL_ID_USED)
    return order
