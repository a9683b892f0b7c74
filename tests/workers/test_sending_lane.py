"""The lane that sends one account's orders, alone, with nobody but itself to wake it."""

import asyncio
import time
from dataclasses import replace
from typing import Any, cast

from gateway.workers.sending import SendingLane
from providers.base import Provider
from schemas.config import Budget
from schemas.orders import OrderState
from schemas.upstream import Placed, Submission
from tests.conftest import eventually
from tests.orders.line import DISPATCH, Line, faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World

#: A lane that is not woken looks at its queue after an hour.
_RARELY = DISPATCH.model_copy(update={"idle_ms": 3_600_000})


class _Crowd:
    """A panel that answers nobody before ``number`` orders are there."""

    def __init__(self, panel: Provider, number: int) -> None:
        self._panel = panel
        self._all_there = asyncio.Barrier(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._panel, name)

    async def add(self, order: Submission) -> Placed:
        """One order."""
        await self._all_there.wait()
        return await self._panel.add(order)


async def _send_all(line: Line, number: int) -> None:
    """Let so many orders wait, and have a lane send them."""
    made = await line.place(*(faulty(name=str(n)) for n in range(number)))

    async def are_placed() -> bool:
        rows = await line.rows()
        return all(rows[order]["state"] == OrderState.PLACED for order in made)

    lane = SendingLane(line.sender, line.adapter, line.provider, Budget(), _RARELY, time.monotonic)
    lane.loop.start()
    try:
        await eventually(are_placed)
    finally:
        await lane.stop()


async def test_an_order_that_ends_makes_room_for_the_next_one_at_once(
    world: World, sandbox: SandboxProcess
) -> None:
    async with open_line(world, sandbox, in_flight=1) as line:
        await _send_all(line, 5)
        assert len(sandbox.accepted()) == 5


async def test_a_lane_fills_all_its_room_although_it_takes_few_orders_at_once(
    world: World, sandbox: SandboxProcess
) -> None:
    async with open_line(world, sandbox, in_flight=30) as line:
        crowd = cast(Provider, _Crowd(line.adapter, 30))
        await _send_all(replace(line, adapter=crowd), 60)
        assert len(sandbox.accepted()) == 60
