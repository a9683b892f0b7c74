"""``smm-gateway job``: long work in the background."""

import argparse
import asyncio
from typing import Any

from gateway.cli.progress import ProgressBar
from gateway.cli.session import number, printing_flags, run_with_database, show
from gateway.errors import UserError
from gateway.store import background_jobs as store
from gateway.store.connection import Pool
from schemas.jobs import Job, JobLine, JobState

_LOOK_SECONDS = 0.5
_OPEN = (JobState.WAITING, JobState.RUNNING)


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("job", help="long work in the background")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="the newest jobs")
    listed.add_argument("--limit", type=number, default=50)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="one job, with its result")
    shown.add_argument("id", type=number)
    shown.add_argument("--wait", action="store_true", help="until it has ended")
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))


def _row(job: JobLine) -> dict[str, object]:
    return {
        "job": job.id,
        "kind": job.kind,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "asked_by": job.warrant.actor.name,
        "reason": job.warrant.reason,
        "at": job.at.isoformat(timespec="seconds"),
        "ended_at": job.ended_at.isoformat(timespec="seconds") if job.ended_at else None,
        "error": job.error,
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, [_row(job) for job in await store.list_jobs(conn, arguments.limit)])
    return 0


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    job = await _find(pool, arguments.id)
    with ProgressBar(f"job {job.id}:", job.total) as progress:
        while arguments.wait and job.state in _OPEN:
            progress.tell(job.done, job.total)
            await asyncio.sleep(_LOOK_SECONDS)
            job = await _find(pool, arguments.id)
    show(arguments, _row(job) | {"result": job.result})
    return 1 if job.state is JobState.FAILED else 0


async def _find(pool: Pool, job_id: int) -> Job:
    async with pool.acquire() as conn:
        job = await store.get_job(conn, job_id)
    if job is None:
        raise UserError(f"there is no job {job_id}: see `smm-gateway job list`")
    return job


def show_asked(arguments: argparse.Namespace, job_id: int) -> None:
    """Say under which number work waits."""
    show(
        arguments,
        {"job": job_id},
        text=lambda: f"job {job_id}: follow it with `smm-gateway job show {job_id} --wait`",
    )
