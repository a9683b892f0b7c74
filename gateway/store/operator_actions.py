"""The operators' log: rows are added, never changed."""

import json

from gateway.store.connection import Connection, Record
from schemas.operators import Act, ActionRecord, Role, Subject


async def insert_action(conn: Connection, act: Act) -> bool:
    """Add a row; False where its request has one already, or gets one as we look."""
    number = await conn.fetchval(
        """insert into operator_action (request, actor, role, address, action, subject, subject_id,
                                        reason, before, after)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           on conflict (request) do nothing returning id""",
        act.request,
        act.actor.name,
        act.actor.role,
        act.actor.address,
        act.action,
        act.subject.kind,
        act.subject.id,
        act.reason,
        json.dumps(dict(act.before)),
        json.dumps(dict(act.after)),
    )
    return number is not None


async def get_action(conn: Connection, request: str) -> ActionRecord | None:
    """What a request has done."""
    row = await conn.fetchrow(
        """select id, at, actor, role, address, action, subject, subject_id, reason, before, after
             from operator_action where request = $1""",
        request,
    )
    return _action(row) if row else None


async def list_actions(
    conn: Connection,
    *,
    subject: Subject | None = None,
    actor: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[ActionRecord]:
    """The last rows, newest first; of one subject or one actor where they are named."""
    rows = await conn.fetch(
        """select id, at, actor, role, address, action, subject, subject_id, reason, before, after
             from operator_action
            where ($1::text is null or (subject, subject_id) = ($1, $2))
              and ($3::text is null or actor = $3) and ($4::bigint is null or id < $4)
            order by id desc limit $5""",
        subject.kind if subject else None,
        subject.id if subject else None,
        actor,
        before_id,
        limit,
    )
    return [_action(row) for row in rows]


def _action(row: Record) -> ActionRecord:
    return ActionRecord(
        id=row["id"],
        at=row["at"],
        actor=row["actor"],
        role=Role(row["role"]),
        address=row["address"],
        action=row["action"],
        subject=Subject(row["subject"], row["subject_id"]),
        reason=row["reason"],
        before=json.loads(row["before"]),
        after=json.loads(row["after"]),
    )
