"""Long work: done once by whichever worker takes it, also when workers die."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.operators.acting import AlreadyDone
from gateway.operators.job_kinds import JobKinds, bulk_arguments
from gateway.operators.jobs import Jobs, Tell, ask_for_job
from gateway.store import background_jobs as store
from gateway.store.connection import Pool
from providers.base import Provider
from schemas.config import SettingsModel
from schemas.jobs import Job, JobKind, JobState
from schemas.order_work import Deed, OrderAction, SeenOrder
from schemas.providers import ProviderRecord
from tests.conftest import eventually
from tests.orders.fates import CHARGE
from tests.orders.line import Line, faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, World

CANCEL = Deed(OrderAction.CANCEL)


def _no_upstream(record: ProviderRecord) -> Provider:
    raise AssertionError(record)


def _jobs(pool: Pool) -> Jobs:
    return Jobs(pool, JobKinds(pool, SettingsModel(), _no_upstream).runners)


def _unsent(orders: list[int]) -> list[SeenOrder]:
    return [SeenOrder(order, 0) for order in orders]


async def _job(pool: Pool, number: int) -> Job:
    async with pool.acquire() as conn:
        job = await store.get_job(conn, number)
    assert job is not None
    return job


@pytest.fixture
async def line(world: World, sandbox: SandboxProcess) -> Any:
    async with open_line(world, sandbox) as opened:
        yield opened


async def test_a_bulk_in_the_background_does_each_order_once(line: Line) -> None:
    orders = _unsent(await line.place(*(faulty(name=f"o{n}") for n in range(5))))
    number = await ask_for_job(
        line.pool, JobKind.BULK, bulk_arguments(orders, CANCEL), replace(BY_TEST, request="b1")
    )
    with pytest.raises(AlreadyDone):
        await ask_for_job(
            line.pool, JobKind.BULK, bulk_arguments(orders, CANCEL), replace(BY_TEST, request="b1")
        )
    assert (await _job(line.pool, number)).state is JobState.WAITING
    workers = [_jobs(line.pool) for _ in range(3)]
    assert sorted(await asyncio.gather(*(w.work() for w in workers))) == [False, False, True]
    job = await _job(line.pool, number)
    assert (job.state, job.done, job.total) == (JobState.DONE, 5, 5)
    assert job.result is not None
    assert (job.result["numbers"], job.result["refund"]) == ({"done": 5}, 5 * CHARGE)
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_the_job_of_a_dead_worker_is_taken_up_and_does_nothing_twice(line: Line) -> None:
    orders = _unsent(await line.place(*(faulty(name=f"o{n}") for n in range(4))))
    number = await ask_for_job(line.pool, JobKind.BULK, bulk_arguments(orders, CANCEL), BY_TEST)
    kinds = JobKinds(line.pool, SettingsModel(), _no_upstream)
    stuck = asyncio.Event()

    async def dies(job: Job, tell: Tell) -> Mapping[str, Any]:
        half = replace(job, arguments={**job.arguments, "orders": orders[:2]})
        await kinds.runners[JobKind.BULK](half, tell)
        stuck.set()
        await asyncio.Event().wait()
        return {}

    first = asyncio.create_task(Jobs(line.pool, {JobKind.BULK: dies}).work())
    await stuck.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    # While its lease runs nobody takes it.
    assert not await _jobs(line.pool).work()
    assert await line.spent() == 2 * CHARGE
    async with line.pool.acquire() as conn:
        await conn.execute("update background_job set lease_until = now()")
    assert await _jobs(line.pool).work()
    job = await _job(line.pool, number)
    assert (job.state, job.tries, await line.spent()) == (JobState.DONE, 2, 0)
    assert job.result is not None
    assert (job.result["numbers"], job.result["refund"]) == ({"done": 4}, 4 * CHARGE)
    await line.world.assert_sound()


async def test_a_job_that_cannot_be_done_says_why(pool: Pool, world: World) -> None:
    number = await ask_for_job(pool, JobKind.MARKUP, {"percent": "30"}, BY_TEST)
    assert await _jobs(pool).work()
    job = await _job(pool, number)
    assert job.state is JobState.FAILED
    assert "no service with a price by rule" in (job.error or "")
    assert not await _jobs(pool).work()


async def test_what_kills_every_worker_is_given_up(pool: Pool, world: World) -> None:
    number = await ask_for_job(pool, JobKind.MARKUP, {"percent": "30"}, BY_TEST)

    async def fails(job: Job, tell: Tell) -> Mapping[str, Any]:
        raise RuntimeError

    for _ in range(5):
        with pytest.raises(RuntimeError):
            await Jobs(pool, {JobKind.MARKUP: fails}, lease_ms=0).work()
    assert await Jobs(pool, {JobKind.MARKUP: fails}).work()
    assert "none came further than before" in ((await _job(pool, number)).error or "")


async def test_who_waits_sees_how_far_it_is(pool: Pool, world: World) -> None:
    number = await ask_for_job(pool, JobKind.REPORT, {}, BY_TEST)
    go_on = asyncio.Event()

    async def slow(job: Job, tell: Tell) -> Mapping[str, Any]:
        tell(3, 9)
        await go_on.wait()
        raise UserError("enough")

    task = asyncio.create_task(Jobs(pool, {JobKind.REPORT: slow}).work())

    async def seen() -> bool:
        job = await _job(pool, number)
        return (job.done, job.total) == (3, 9)

    await eventually(seen)
    go_on.set()
    await task


async def test_a_list_of_jobs_leaves_their_results_and_arguments_where_they_are(
    pool: Pool, world: World
) -> None:
    number = await ask_for_job(pool, JobKind.REPORT, {"orders": list(range(5_000))}, BY_TEST)

    async def sheet(job: Job, tell: Tell) -> Mapping[str, Any]:
        return {"rows": 1, "csv": "x" * 100_000}

    assert await Jobs(pool, {JobKind.REPORT: sheet}).work()
    async with pool.acquire() as conn:
        [line] = await store.list_jobs(conn, 5)
    assert (line.id, line.state) == (number, JobState.DONE)
    assert not hasattr(line, "result")
    assert not hasattr(line, "arguments")


async def test_what_came_of_a_job_is_forgotten_after_four_weeks(pool: Pool, world: World) -> None:
    async def sheet(job: Job, tell: Tell) -> Mapping[str, Any]:
        return {"csv": "x"}

    jobs = Jobs(pool, {JobKind.REPORT: sheet})
    old, young = [
        await ask_for_job(pool, JobKind.REPORT, {}, replace(BY_TEST, request=name))
        for name in ("old", "young")
    ]
    assert await jobs.work()
    assert await jobs.work()
    await pool.execute(
        "update background_job set ended_at = now() - '29 days'::interval where id = $1", old
    )
    await jobs.forget()
    assert (await _job(pool, old)).result is None
    assert (await _job(pool, young)).result == {"csv": "x"}


async def test_a_long_job_outlives_many_workers_as_long_as_it_comes_further(
    pool: Pool, world: World
) -> None:
    number = await ask_for_job(pool, JobKind.BULK, {}, BY_TEST)

    async def one_further(job: Job, tell: Tell) -> Mapping[str, Any]:
        if job.done == 8:
            return {}
        tell(job.done + 1, 8)
        await asyncio.sleep(0)
        await pool.execute("update background_job set done = $1, lease_until = now()", job.done + 1)
        raise RuntimeError

    jobs = Jobs(pool, {JobKind.BULK: one_further}, lease_ms=0)
    for _ in range(8):
        with pytest.raises(RuntimeError):
            await jobs.work()
    assert await jobs.work()
    job = await _job(pool, number)
    assert (job.state, job.tries) == (JobState.DONE, 9)
