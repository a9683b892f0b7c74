"""Jobs: long work in the background, how far it is, and what came of it."""

from aiohttp import web

from gateway.operators.jobs import RESULT_DAYS
from gateway.store import background_jobs
from gateway.web.ops.visit import NotFound, Visit
from schemas.jobs import Job, JobKind, JobState

_HERE = "/ops/jobs"
_NEWEST = 50
_OPEN = (JobState.WAITING, JobState.RUNNING)
#: The others name providers, and tell what they answered.
_FOR_SUPPORT = (JobKind.BULK,)


def _kinds(visit: Visit) -> tuple[JobKind, ...]:
    """The kinds of jobs that the operator may see."""
    return tuple(JobKind) if visit.names_providers else _FOR_SUPPORT


async def show_all(visit: Visit) -> web.Response:
    """The newest jobs."""
    async with visit.services.pool.acquire() as conn:
        jobs = await background_jobs.list_jobs(conn, _NEWEST, kinds=_kinds(visit))
    return await visit.page(
        "jobs.html",
        title="Jobs",
        jobs=jobs,
        refresh=2 if any(job.state in _OPEN for job in jobs) else 10,
    )


async def _find(visit: Visit) -> Job:
    async with visit.services.pool.acquire() as conn:
        job = await background_jobs.get_job(conn, visit.number())
    if job is None or job.kind not in _kinds(visit):
        raise NotFound("There is no such job.")
    return job


async def show(visit: Visit) -> web.Response:
    """One job; it refreshes itself until it has ended."""
    job = await _find(visit)
    asked = [
        (name, value)
        for name, value in job.arguments.items()
        if value is not None and name != "orders"
    ]
    return await visit.page(
        "job.html",
        title=f"Job {job.id}",
        refresh=1 if job.state in _OPEN else 0,
        job=job,
        asked=asked,
        result=job.result or {},
        **await visit.provider_words(),
    )


async def download(visit: Visit) -> web.Response:
    """The sheet that a report came to."""
    job = await _find(visit)
    if job.kind is not JobKind.REPORT or job.result is None:
        raise NotFound(f"This job has no sheet: one is kept for {RESULT_DAYS} days.")
    return sheet_answer(str(job.result["csv"]), f"report-{job.id}")


def sheet_answer(text: str, name: str) -> web.Response:
    """CSV as a file to keep."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)


ROUTES = (
    ("GET", _HERE, show_all),
    ("GET", _HERE + "/{id}", show),
    ("GET", _HERE + "/{id}/sheet", download),
)
