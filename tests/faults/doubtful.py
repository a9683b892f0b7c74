"""An intake whose database is behind a chaos proxy, and what is true behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.catalogue.snapshot import Catalogue
from gateway.orders.doubts import Hold
from gateway.orders.drafting import Draft, draft_order
from gateway.orders.earlier import Accepted
from gateway.orders.intake import Intake
from gateway.orders.receipts import Receipts
from gateway.spool import Spool
from gateway.store.connection import Pool, open_pool
from schemas.money import UNIT
from schemas.resellers import DuplicatePolicy
from tests.faults.proxy import ChaosProxy
from tests.world import Customer, World

CHARGE = 900_000
LINK = "https://doubt.example/1"


@dataclass(frozen=True)
class Till:
    """An intake behind ``proxy``, and ``pool``, which is not behind it."""

    proxy: ChaosProxy
    intake: Intake
    receipts: Receipts
    spool: Spool
    catalogue: Catalogue
    behind: Pool
    pool: Pool
    world: World
    customer: Customer
    service: int

    def draft(self, link: str = LINK, name: str | None = None) -> Draft:
        """An ``add`` of 1,000 at 0.90."""
        made = draft_order(
            self.catalogue.current.services[self.service],
            {"link": link, "quantity": "1000"},
            reseller_id=self.customer.id,
            currency="USD",
            request_id="r-1",
        )
        return replace(made, external_id=name, duplicates=DuplicatePolicy.SAFE_RETRY)

    async def add(self, link: str = LINK, name: str | None = None) -> Accepted:
        """Place it."""
        return await self.intake.submit(self.draft(link, name))

    async def add_and_arrive(self, link: str = LINK) -> int:
        """Place it, its client having its answer."""
        answer = await self.add(link)
        if answer.mark is not None:
            self.receipts.settle(answer.mark, arrived=True)
        return answer.order_id

    async def orders(self) -> list[int]:
        """The ids of all orders that are committed."""
        async with self.pool.acquire() as conn:
            return [row[0] for row in await conn.fetch("select id from orders order by id")]

    async def assert_orders(self, *ids: int) -> None:
        """These are all orders, each is charged once, and the audit is clean."""
        assert await self.orders() == sorted(ids)
        assert await self.world.balance(self.customer) == 100 * UNIT - CHARGE * len(ids)
        await self.world.assert_sound()

    def elsewhere(self) -> Intake:
        """The intake of another process, which is not behind the proxy."""
        return Intake(
            self.pool, self.catalogue, lambda _: None, Receipts(), self.spool, largest=250
        )


@asynccontextmanager
async def open_till(
    world: World, database_url: str, folder: Path, *, hold: float
) -> AsyncIterator[Till]:
    """A till whose clients are held for ``hold`` seconds."""
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    service = await world.service(provider, rate="0.90", minimum=1, maximum=1_000_000)
    customer = await world.reseller(funds="100")
    catalogue, receipts, spool = Catalogue(), Receipts(), Spool(folder / "spool")
    async with world.pool.acquire() as conn:
        await catalogue.refresh(conn)
    async with ChaosProxy.before(database_url) as proxy:
        behind = await open_pool(proxy.through(database_url), size=3)
        intake = Intake(
            behind,
            catalogue,
            lambda _: None,
            receipts,
            spool,
            largest=250,
            hold=Hold(hold),
        )
        try:
            yield Till(
                proxy=proxy,
                intake=intake,
                receipts=receipts,
                spool=spool,
                catalogue=catalogue,
                behind=behind,
                pool=world.pool,
                world=world,
                customer=customer,
                service=service,
            )
        finally:
            behind.terminate()
            await spool.close()
