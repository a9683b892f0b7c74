"""An order line: intake, sender and tracker of one provider account, driven step by step."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.upstreams import adapt, timeouts
from gateway.orders.dispatch import Sender
from gateway.orders.drafting import draft_order
from gateway.orders.failover import Outcome
from gateway.orders.intake import Intake
from gateway.orders.receipts import Receipts
from gateway.orders.tracking import Tracker
from gateway.spool import Spool
from gateway.store import orders
from gateway.store.connection import Pool
from providers.base import Provider
from providers.transport import Transport
from schemas.config import DispatchSettings, TrackingSettings
from schemas.money import UNIT
from schemas.orders import AttemptState, OrderState
from schemas.providers import ProviderRecord
from tests.sandbox_process import SandboxProcess
from tests.world import KEYS, Customer, World

DISPATCH = DispatchSettings(
    timeout_ms=3_000, connect_timeout_ms=1_000, retry_first_ms=10, retry_last_ms=20, hold_ms=20
)
#: Long, because tests say themselves when an order is due.
TRACKING = TrackingSettings(first_ms=3_600_000, last_ms=3_600_000, correction_ms=3_600_000)
FUNDS = 1_000 * UNIT


def faulty(*faults: str, name: str = "x") -> str:
    """A link that makes the sandbox misbehave."""
    query = "&".join(f"sandbox={quote(fault, safe='[')}" for fault in faults)
    return f"https://example.com/{quote(name)}" + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Line:
    """Everything between a reseller's order and the sandbox; nothing moves by itself."""

    world: World
    pool: Pool
    panel: SandboxProcess
    customer: Customer
    provider: ProviderRecord
    adapter: Provider
    sender: Sender
    tracker: Tracker
    intake: Intake
    catalogue: Catalogue
    spool: Spool

    async def place(self, *links: str, quantity: int = 1000, upstream: str = "101") -> list[int]:
        """Accepted orders for these links, none of them sent."""
        services = self.catalogue.current.services.values()
        service = next(s for s in services if s.routes[0].upstream_service == upstream)
        lines = "\n".join(f"comment {n}" for n in range(quantity))
        drafts = [
            draft_order(
                service,
                {"link": link, "quantity": str(quantity), "comments": lines},
                reseller_id=self.customer.id,
                currency="USD",
                request_id=f"r-{number}",
            )
            for number, link in enumerate(links)
        ]
        return [(await self.intake.submit(draft)).order_id for draft in drafts]

    async def send(self, limit: int = 1000) -> list[Outcome]:
        """Claim what waits and send it, one after the other."""
        claim = await self.sender.claim(self.provider, limit)
        return [
            await self.sender.send(self.adapter, self.provider, order, self.sender_clock())
            for order in claim.orders
        ]

    @staticmethod
    def sender_clock() -> float:
        """The clock of the sender."""
        return time.monotonic()

    async def placed(self, *links: str, **values: Any) -> list[int]:
        """Orders that the panel has accepted."""
        made = await self.place(*links, **values)
        await self.send()
        states = {number: row["state"] for number, row in (await self.rows()).items()}
        assert {states[number] for number in made} == {OrderState.PLACED}
        return made

    async def poll(self) -> int:
        """Ask for all orders that are due, once each; how many were asked for."""
        async with self.pool.acquire() as conn:
            await conn.execute("update orders set next_at = now() where next_at < 'infinity'")
        asked = 0
        while number := (await self.tracker.poll(self.adapter, self.provider)).asked:
            asked += number
            if number < 100:
                break
        return asked

    async def rows(self) -> dict[int, Mapping[str, Any]]:
        """All orders as they are stored."""
        async with self.pool.acquire() as conn:
            return {row["id"]: dict(row) for row in await conn.fetch("select * from orders")}

    async def row(self, number: int) -> Mapping[str, Any]:
        """One order as it is stored."""
        return (await self.rows())[number]

    async def attempts(self, number: int) -> list[AttemptState]:
        """The states of an order's attempts."""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                "select state from attempt where order_id = $1 order by number", number
            )
        return [AttemptState(row["state"]) for row in rows]

    async def history(self, number: int) -> list[str]:
        """Causes of an order's moves."""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                "select cause from order_event where order_id = $1 order by version", number
            )
        return [row["cause"] for row in rows]

    async def told(self, number: int) -> tuple[str, int, int]:
        """Word, charge and remains as the reseller is told them."""
        async with self.pool.acquire() as conn:
            found = await orders.list_told_orders(conn, [number], [self.customer.id])
        order = found[number, self.customer.id]
        return order.wire_status, order.wire_charge, order.wire_remains

    def upstream_orders(self, link: str) -> int:
        """How many orders of this link the panel has accepted."""
        return sum(record["link"] == link for record in self.panel.accepted())

    def upstream_requests(self, link: str) -> int:
        """How often the panel has read an ``add`` for this link."""
        return sum(r["parameters"].get("link") == link for r in self.panel.received())

    async def spent(self) -> int:
        """What the reseller has paid and not got back."""
        return FUNDS - await self.world.balance(self.customer)


@asynccontextmanager
async def open_line(
    world: World,
    panel: SandboxProcess,
    *,
    clock: Callable[[], float] = time.monotonic,
    dispatch: DispatchSettings = DISPATCH,
    tracking: TrackingSettings = TRACKING,
    **options: object,
) -> AsyncIterator[Line]:
    """A line to a sandbox panel, with a funded reseller; ``options`` are the provider's."""
    # Tests say themselves how many orders are claimed.
    provider = await world.sandbox(panel, **{"in_flight": 1_000} | options)
    customer = await world.reseller(funds="1000")
    catalogue = Catalogue()
    async with world.pool.acquire() as conn:
        await catalogue.refresh(conn)
    spool = Spool(panel.data_dir / "spool")
    async with Transport(timeouts(dispatch)) as transport:
        yield Line(
            world=world,
            pool=world.pool,
            panel=panel,
            customer=customer,
            provider=provider,
            adapter=adapt(provider, transport, KEYS)[0],
            sender=Sender(world.pool, dispatch, clock, spool),
            tracker=Tracker(world.pool, tracking, clock),
            intake=Intake(world.pool, catalogue, lambda _: None, Receipts(), spool, largest=250),
            catalogue=catalogue,
            spool=spool,
        )
