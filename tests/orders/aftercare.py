"""What is asked of the orders of a line, driven step by step."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from gateway.orders.cancellations import Canceller, CancelRequests, request_cancels
from gateway.orders.refills import Refiller, Requested, request_refills
from schemas.aftercare import RefillChange
from schemas.orders import OrderState
from tests.orders.line import DISPATCH, TRACKING, Line

NOW = timedelta()


class Aftercare:
    """Refills and cancellations of one line; nothing moves by itself."""

    def __init__(self, line: Line, clock: Callable[[], float] = time.monotonic) -> None:
        self.line = line
        self.refiller = Refiller(line.pool, DISPATCH, TRACKING, clock)
        self.canceller = Canceller(line.pool, DISPATCH, clock)

    async def completed(self, *links: str) -> list[int]:
        """Orders that were delivered."""
        made = await self.line.placed(*links)
        await self.line.panel.control("advance", {"work": 1})
        await self.line.poll()
        rows = await self.line.rows()
        assert {rows[number]["state"] for number in made} == {OrderState.COMPLETED}
        return made

    async def request(self, *orders: int, wait: timedelta = NOW) -> Requested:
        """Ask for refills as the customer."""
        return await request_refills(self.line.pool, self.line.customer.id, orders, wait)

    async def refill(self, order: int) -> int:
        """A refill that is accepted; its id."""
        return (await self.request(order)).made[order]

    async def send(self) -> list[RefillChange]:
        """Send what waits, however long it should."""
        await self.line.pool.execute("update refill set next_at = now() where state = 'requested'")
        sent = []
        while claimed := await self.refiller.claim(self.line.provider):
            sent.append(await self.refiller.send(self.line.adapter, self.line.provider, *claimed))
        return sent

    async def follow(self, limit: int = 100) -> int:
        """Ask for the states of all open refills; how many were asked for."""
        await self.line.pool.execute("update refill set next_at = now() where next_at < 'infinity'")
        return (await self.refiller.follow(self.line.adapter, self.line.provider, limit)).asked

    async def row(self, refill: int) -> Mapping[str, Any]:
        """A refill as it is stored."""
        row = await self.line.pool.fetchrow("select * from refill where id = $1", refill)
        assert row is not None
        return dict(row)

    async def state(self, refill: int) -> str:
        """The state of a refill."""
        return str((await self.row(refill))["state"])

    async def cancel(self, *orders: int) -> CancelRequests:
        """Ask to cancel as the customer."""
        return await request_cancels(self.line.pool, self.line.customer.id, orders)

    async def ask(self) -> int:
        """Ask the upstream for all stored requests; how many orders that were."""
        await self.line.pool.execute("update cancellation set next_at = now()")
        return (await self.canceller.ask(self.line.adapter, self.line.provider, 100)).asked

    async def cancel_state(self, order: int) -> str | None:
        """The state of the newest request to cancel an order."""
        state = await self.line.pool.fetchval(
            "select state from cancellation where order_id = $1", order
        )
        return None if state is None else str(state)

    async def calls(self, action: str) -> int:
        """How many calls of an action the panel has read."""
        return int((await self.line.panel.control("state"))["requests"].get(action, 0))

    async def fail(self, action: str, fault: str, times: int = 1) -> None:
        """Let the next calls of an action fail so."""
        command = {"action": action, "fault": fault, "times": times}
        await self.line.panel.control("faults", command)
