"""What resellers are told: balances and order states, read in groups from our own database."""

from collections.abc import Iterable, Sequence

from gateway.grouping import Groups
from gateway.orders.barrier import Barrier
from gateway.store import external_ids, ledger, orders
from gateway.store.connection import Pool
from schemas.money import Micros
from schemas.orders import ToldOrder


class Teller:
    """Answers balance and status questions; concurrent ones share a statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._barrier = Barrier(pool)
        self._balances: Groups[int, Micros] = Groups(self._read_balances, largest=1000)
        self._orders: Groups[tuple[int, tuple[int, ...]], dict[int, ToldOrder]] = Groups(
            self._read_orders, largest=200
        )

    async def balance(self, reseller_id: int) -> Micros:
        """A reseller's balance."""
        return await self._balances.submit(reseller_id)

    async def orders(self, reseller_id: int, order_ids: Iterable[int]) -> dict[int, ToldOrder]:
        """Those of the orders that are the reseller's; the others are left out."""
        return await self._orders.submit((reseller_id, tuple(order_ids)))

    async def named_order(self, reseller_id: int, external_id: str) -> ToldOrder | None:
        """The order that the reseller placed under its own name for it."""
        name = (reseller_id, external_id)
        async with self._pool.acquire() as conn:
            found = (await external_ids.list_named_orders(conn, [name])).get(name)
        if found is None:
            return None
        if found.young:
            # Its client may never have had an answer, and takes this one for it.
            await self._barrier.pass_through()
        return (await self.orders(reseller_id, [found.id])).get(found.id)

    async def _read_balances(self, reseller_ids: Sequence[int]) -> list[Micros | Exception]:
        async with self._pool.acquire() as conn:
            found = await ledger.get_balances(conn, list(set(reseller_ids)))
        return [found[reseller_id] for reseller_id in reseller_ids]

    async def _read_orders(
        self, asked: Sequence[tuple[int, tuple[int, ...]]]
    ) -> list[dict[int, ToldOrder] | Exception]:
        pairs = list({(id_, reseller) for reseller, ids in asked for id_ in ids})
        async with self._pool.acquire() as conn:
            found = await orders.list_told_orders(
                conn, [id_ for id_, _ in pairs], [reseller for _, reseller in pairs]
            )
        return [
            {id_: found[id_, reseller] for id_ in ids if (id_, reseller) in found}
            for reseller, ids in asked
        ]
