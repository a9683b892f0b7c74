"""Orders in doubt on a line, and the clock set forward for them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from gateway.catalogue.balances import read_balance
from gateway.orders.reconciliation import Reconciler
from schemas.config import DispatchSettings, ReconcileSettings
from schemas.orders import OrderState
from tests.orders.line import Line, faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World

IMPATIENT = DispatchSettings(
    timeout_ms=600, connect_timeout_ms=300, retry_first_ms=10, retry_last_ms=20, hold_ms=20
)
SHIFTED = (
    """update attempt set started_at = started_at - $1::interval,
                          finished_at = finished_at - $1::interval""",
    "update orders set updated_at = updated_at - $1::interval where state = 'unknown'",
    "update reconciliation set first_at = first_at - $1::interval",
    "update balance_reading set asked_at = asked_at - $1::interval, at = at - $1::interval",
)


class Doubting:
    """A line with a reconciler; nothing is looked at unless a test says so."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.reconciler = Reconciler(line.pool, ReconcileSettings(), IMPATIENT, "USD")

    async def doubt(self, fault: str, *links: str, **values: Any) -> list[int]:
        """Orders in doubt, after an honest one that is there already and a known balance.

        The fault is the panel's, not the link's: what is sent again is answered well.
        """
        await self.line.placed(faulty(name="before"))
        await read_balance(self.line.pool, self.line.adapter, self.line.provider)
        return await self.doubt_more(fault, *links, **values)

    async def doubt_more(self, fault: str, *links: str, **values: Any) -> list[int]:
        """Further orders in doubt."""
        if not links:
            return []
        rule = {"action": "add", "fault": fault, "times": len(links)}
        await self.line.panel.control("faults", rule)
        made = await self.line.place(*links, **values)
        await self.line.send()
        rows = await self.line.rows()
        assert {rows[number]["state"] for number in made} == {OrderState.UNKNOWN}
        return made

    async def look(self) -> int:
        """Look at all that is in doubt, whenever that is due."""
        await self.line.pool.execute("update orders set next_at = now() where state = 'unknown'")
        return (await self.reconciler.look(self.line.adapter, self.line.provider)).asked

    async def look_when_listed(self, fault: str) -> None:
        """Look while the list of orders is answered like that."""
        await self.line.panel.control("faults", {"action": "orders", "fault": fault})
        await self.look()

    async def pass_time(self, minutes: float) -> None:
        """Let all that has happened be so much longer ago."""
        for statement in SHIFTED:
            await self.line.pool.execute(statement, timedelta(minutes=minutes))

    async def look_for_long(self) -> None:
        """Look at once, then twice after the quarantine, as the lane would in the end."""
        await self.look()
        await self.pass_time(16)
        await self.look()
        await self.pass_time(2)
        await self.look()

    async def state(self, number: int) -> str:
        """The state of an order."""
        return str((await self.line.row(number))["state"])

    async def evidence(self, number: int) -> Mapping[str, Any]:
        """What the last look kept."""
        row = await self.line.pool.fetchrow(
            "select * from reconciliation where order_id = $1", number
        )
        assert row is not None
        return dict(row)


@asynccontextmanager
async def open_doubting(
    world: World, panel: SandboxProcess, *, listed: bool
) -> AsyncIterator[Doubting]:
    """A line whose panel has a list of orders, or none."""
    await panel.control("conduct", {"order_list": listed})
    async with open_line(world, panel, dispatch=IMPATIENT, order_list=listed) as line:
        yield Doubting(line)
