"""The background loop: it survives failures, and ends without cutting its work short."""

import asyncio

import pytest

from gateway.workers import loop as module
from gateway.workers.loop import Loop
from tests.conftest import eventually


async def test_a_loop_that_fails_more_often_than_numbers_double_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LONGEST_BACKOFF", 0.0)
    runs = 0

    async def work() -> float:
        nonlocal runs
        runs += 1
        if runs <= 1100:
            raise RuntimeError("the database is away")
        return 60

    loop = Loop("failing", work)
    loop.start()

    async def recovered() -> bool:
        return runs > 1100

    await eventually(recovered)
    await loop.stop()


async def test_stopping_lets_the_running_work_end() -> None:
    entered, leave, ended = asyncio.Event(), asyncio.Event(), False

    async def work() -> float:
        nonlocal ended
        entered.set()
        await leave.wait()
        ended = True
        return 0

    loop = Loop("slow", work)
    loop.start()
    await entered.wait()
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0)
    leave.set()
    await stopping
    assert ended


async def test_work_that_does_not_end_is_cut_short_after_a_while() -> None:
    entered = asyncio.Event()

    async def work() -> float:
        entered.set()
        await asyncio.Event().wait()
        return 0

    loop = Loop("stuck", work)
    loop.start()
    await entered.wait()
    await loop.stop(patience=0.01)


async def test_a_wake_up_cuts_the_pause_short() -> None:
    runs = 0

    async def work() -> float:
        nonlocal runs
        runs += 1
        return 3600

    loop = Loop("idle", work)
    loop.start()
    for wanted in (1, 2, 3):

        async def ran(wanted: int = wanted) -> bool:
            return runs == wanted

        await eventually(ran)
        loop.wake()
    await loop.stop()
