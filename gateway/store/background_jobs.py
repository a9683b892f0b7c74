"""Long work in the background. A job is held by a lease, which its worker renews."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from gateway.store.connection import Connection, Record
from schemas.jobs import Job, JobKind, JobLine, JobState
from schemas.operators import Actor, Role, Warrant

_LINE = """id, kind, actor, role, address, reason, request, state, done, total, error, tries,
           barren, at, ended_at"""
_COLUMNS = f"{_LINE}, arguments, result"


def _line(row: Record) -> dict[str, Any]:
    actor = Actor(row["actor"], Role(row["role"]), row["address"])
    names = ("id", "done", "total", "error", "tries", "barren", "at", "ended_at")
    return {name: row[name] for name in names} | {
        "kind": JobKind(row["kind"]),
        "state": JobState(row["state"]),
        "warrant": Warrant(actor, row["reason"], row["request"]),
    }


def _read(row: Record) -> Job:
    return Job(
        **_line(row),
        arguments=json.loads(row["arguments"]),
        result=None if row["result"] is None else json.loads(row["result"]),
    )


async def insert_job(
    conn: Connection, kind: JobKind, arguments: Mapping[str, Any], warrant: Warrant
) -> int | None:
    """A new job; its id, None where the same request has made one."""
    number: int | None = await conn.fetchval(
        """insert into background_job (kind, arguments, actor, role, address, reason, request)
           values ($1, $2, $3, $4, $5, $6, $7) on conflict (request) do nothing returning id""",
        kind,
        json.dumps(dict(arguments)),
        warrant.actor.name,
        warrant.actor.role,
        warrant.actor.address,
        warrant.reason,
        warrant.request,
    )
    return number


async def claim_job(conn: Connection, *, lease_ms: int) -> Job | None:
    """Take the job that waits longest, or whose worker has let its lease end."""
    row = await conn.fetchrow(
        f"""update background_job
              set state = 'running', tries = tries + 1, started_at = coalesce(started_at, now()),
                  barren = case when done > reached then 1 else barren + 1 end, reached = done,
                  lease_until = now() + $1 * interval '1 ms'
            where id = (select id from background_job
                         where state in ('waiting', 'running') and lease_until <= now()
                         order by lease_until limit 1 for update skip locked)
           returning {_COLUMNS}""",  # noqa: S608 - constants only
        lease_ms,
    )
    return _read(row) if row else None


async def set_job_progress(
    conn: Connection, job: Job, done: int, total: int | None, *, lease_ms: int
) -> bool:
    """Say how far a job is, and keep it; False where it is not the caller's any more."""
    tag = await conn.execute(
        """update background_job
              set done = greatest(done, $3), total = $4, lease_until = now() + $5 * interval '1 ms'
            where id = $1 and tries = $2 and state = 'running'""",
        job.id,
        job.tries,
        done,
        total,
        lease_ms,
    )
    return tag == "UPDATE 1"


async def set_job_ended(
    conn: Connection, job: Job, result: Mapping[str, Any] | None, error: str | None
) -> bool:
    """End a job with its result, or with what went wrong; False where it is another's by now."""
    tag = await conn.execute(
        """update background_job
              set state = case when $4::text is null then 'done' else 'failed' end, result = $3,
                  error = $4, ended_at = now(),
                  done = case when $4::text is null then coalesce(total, done) else done end
            where id = $1 and tries = $2 and state = 'running'""",
        job.id,
        job.tries,
        None if result is None else json.dumps(dict(result)),
        error,
    )
    return tag == "UPDATE 1"


async def get_job(conn: Connection, job_id: int) -> Job | None:
    """One job."""
    row = await conn.fetchrow(f"select {_COLUMNS} from background_job where id = $1", job_id)  # noqa: S608 - constants only
    return _read(row) if row else None


async def list_jobs(
    conn: Connection, limit: int, *, kinds: Collection[JobKind] = tuple(JobKind)
) -> list[JobLine]:
    """The newest jobs of some kinds.

    What is asked for and what came of it may be long, and is left out.
    """
    rows = await conn.fetch(
        f"""select {_LINE} from background_job where kind = any($2)
             order by id desc limit $1""",  # noqa: S608 - constants only
        limit,
        list(kinds),
    )
    return [JobLine(**_line(row)) for row in rows]


async def delete_old_results(conn: Connection, days: int) -> None:
    """Forget what came of jobs that ended so many days ago, and what was asked of them."""
    await conn.execute(
        """update background_job set result = null, arguments = '{}'
            where result is not null and ended_at < now() - $1 * interval '1 day'""",
        days,
    )
