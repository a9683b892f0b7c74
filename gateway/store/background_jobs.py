"""Long work in the background. A job is held by a lease, which its worker renews."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from gateway.store.connection import Connection, Record
from schemas.jobs import Job, JobKind, JobState
from schemas.operators import Actor, Role, Warrant

_COLUMNS = """id, kind, arguments, actor, role, address, reason, request, state, done, total,
              result, error, tries, at, ended_at"""


def _read(row: Record) -> Job:
    actor = Actor(row["actor"], Role(row["role"]), row["address"])
    return Job(
        id=row["id"],
        kind=JobKind(row["kind"]),
        arguments=json.loads(row["arguments"]),
        warrant=Warrant(actor, row["reason"], row["request"]),
        state=JobState(row["state"]),
        done=row["done"],
        total=row["total"],
        result=None if row["result"] is None else json.loads(row["result"]),
        error=row["error"],
        tries=row["tries"],
        at=row["at"],
        ended_at=row["ended_at"],
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
              set done = $3, total = $4, lease_until = now() + $5 * interval '1 ms'
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
) -> list[Job]:
    """The newest jobs of some kinds."""
    rows = await conn.fetch(
        f"""select {_COLUMNS} from background_job where kind = any($2)
             order by id desc limit $1""",  # noqa: S608 - constants only
        limit,
        list(kinds),
    )
    return [_read(row) for row in rows]
