"""Long work in the background: asked for by an operator, done by whichever worker takes it.

A worker holds a job by a lease and renews it while it works. When it dies, another takes the job up
and begins again; what was done is done once all the same, because every change of a job is made
under a request of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import uuid4

import structlog

from gateway.errors import UserError
from gateway.operators.acting import AlreadyDone, record
from gateway.store import background_jobs as store
from gateway.store.connection import Pool, transaction
from schemas.jobs import Job, JobKind
from schemas.operators import Subject, Warrant

log = structlog.get_logger()

#: Hears how much of a job is done, and of how much where that is known.
Tell: TypeAlias = Callable[[int, int | None], None]
#: Does a job and returns its result, which is JSON.
Runner: TypeAlias = Callable[[Job, Tell], Awaitable[Mapping[str, Any]]]

LEASE_MS = 30_000
#: What came of a job is kept for so long; the operators' log keeps what it did.
RESULT_DAYS = 28
_RENEW_SECONDS = 1.0
#: So many workers in a row may come no further: a long job outlives more restarts than that.
_MOST_BARREN = 5


async def ask_for_job(
    pool: Pool, kind: JobKind, arguments: Mapping[str, Any], warrant: Warrant
) -> int:
    """Give work to the background; its id.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: for a reason that is none.
    """
    if warrant.request is None:
        warrant = replace(warrant, request=str(uuid4()))
    async with pool.acquire() as conn, transaction(conn):
        number = await store.insert_job(conn, kind, arguments, warrant)
        if number is None:
            raise AlreadyDone("this was asked for already: see `smm-gateway job list`")
        # The job's own changes are made under this request: to ask for it has another.
        asking = replace(warrant, request=None)
        await record(
            conn, asking.act("job.asked", Subject("job", str(number)), after={"kind": kind})
        )
    return number


class Jobs:
    """Does jobs, one at a time."""

    def __init__(
        self, pool: Pool, runners: Mapping[JobKind, Runner], *, lease_ms: int = LEASE_MS
    ) -> None:
        self._pool = pool
        self._runners = runners
        self._lease_ms = lease_ms

    async def work(self) -> bool:
        """Do the next job, if there is one."""
        async with self._pool.acquire() as conn:
            job = await store.claim_job(conn, lease_ms=self._lease_ms)
        if job is None:
            return False
        log.info("job.started", job_id=job.id, kind=job.kind, tries=job.tries)
        result, error = await self._run(job)
        async with self._pool.acquire() as conn:
            await store.set_job_ended(conn, job, result, error)
        log.info("job.ended", job_id=job.id, kind=job.kind, reason=error)
        return True

    async def forget(self) -> None:
        """Forget what came of jobs of long ago: sheets of many megabytes are not kept for ever."""
        async with self._pool.acquire() as conn:
            await store.delete_old_results(conn, RESULT_DAYS)

    async def _run(self, job: Job) -> tuple[Mapping[str, Any] | None, str | None]:
        if job.barren > _MOST_BARREN:
            return None, f"{_MOST_BARREN} workers began it, and none came further than before"
        so_far: tuple[int, int | None] = (job.done, job.total)

        def tell(done: int, total: int | None) -> None:
            nonlocal so_far
            so_far = done, total

        work = asyncio.ensure_future(self._runners[job.kind](job, tell))
        try:
            while not work.done():
                async with self._pool.acquire() as conn:
                    ours = await store.set_job_progress(conn, job, *so_far, lease_ms=self._lease_ms)
                if not ours:
                    log.warning("job.lost", job_id=job.id)
                    break
                await asyncio.wait([work], timeout=_RENEW_SECONDS)
            if not work.done():
                return None, "another worker has it"
            async with self._pool.acquire() as conn:
                await store.set_job_progress(conn, job, *so_far, lease_ms=self._lease_ms)
            return work.result(), None
        except UserError as error:
            return None, str(error)
        finally:
            work.cancel()
