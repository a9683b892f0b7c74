"""Sessions of operators: found by the hash of a cookie's value, never by the value."""

from gateway.store.connection import Connection, Record
from schemas.operator_accounts import Notice, Operator, Session, Stage, Tone
from schemas.operators import Role

_SESSION = """select s.id as session_id, s.stage, s.created_at as begun_at, s.seen_at, s.address,
                     s.agent, s.notice_tone, s.notice,
                     o.id, o.name, o.role, o.enabled, o.password is not null as has_password,
                     o.code_step, o.created_at, o.signed_in_at
                from operator_session s join operator o on o.id = s.operator_id"""


def _session(row: Record) -> Session:
    values = dict(row)
    tone, text = values.pop("notice_tone"), values.pop("notice")
    session = {
        "id": values.pop("session_id"),
        "stage": Stage(values.pop("stage")),
        "created_at": values.pop("begun_at"),
        "seen_at": values.pop("seen_at"),
        "address": values.pop("address"),
        "agent": values.pop("agent"),
    }
    operator = Operator(**{**values, "role": Role(values["role"])})
    return Session(
        **session, operator=operator, notice=Notice(Tone(tone), text) if tone is not None else None
    )


async def insert_session(
    conn: Connection,
    hashed: bytes,
    operator_id: int,
    stage: Stage,
    address: str | None,
    agent: str,
) -> int:
    """Begin a session; returns its id."""
    return int(
        await conn.fetchval(
            """insert into operator_session (hash, operator_id, stage, address, agent)
               values ($1, $2, $3, $4, $5) returning id""",
            hashed,
            operator_id,
            stage,
            address,
            agent,
        )
    )


async def get_session(conn: Connection, hashed: bytes) -> Session | None:
    """The living session of that cookie, with its operator as he is now."""
    row = await conn.fetchrow(f"{_SESSION} where s.hash = $1 and o.enabled and is_alive(s)", hashed)
    return _session(row) if row else None


async def list_sessions(conn: Connection, operator_id: int) -> list[Session]:
    """An operator's living sessions, the one that was used last first."""
    rows = await conn.fetch(
        f"{_SESSION} where s.operator_id = $1 and is_alive(s) order by s.seen_at desc", operator_id
    )
    return [_session(row) for row in rows]


async def set_session_seen(conn: Connection, session_id: int) -> None:
    """Note that a session is in use, at most every minute."""
    await conn.execute(
        """update operator_session set seen_at = now()
            where id = $1 and seen_at < now() - interval '1 minute'""",
        session_id,
    )


async def set_session_notice(conn: Connection, session_id: int, notice: Notice | None) -> None:
    """Set or take away what the session's next page tells."""
    await conn.execute(
        "update operator_session set notice_tone = $2, notice = $3 where id = $1",
        session_id,
        notice.tone if notice else None,
        notice.text if notice else None,
    )


async def delete_session(conn: Connection, operator_id: int, session_id: int) -> bool:
    """End one session of an operator; False where there is none of that id."""
    done = await conn.execute(
        "delete from operator_session where operator_id = $1 and id = $2", operator_id, session_id
    )
    return done == "DELETE 1"


async def delete_sessions(conn: Connection, operator_id: int) -> int:
    """End all sessions of an operator; returns how many there were."""
    rows = await conn.fetch(
        "delete from operator_session where operator_id = $1 returning id", operator_id
    )
    return len(rows)


async def delete_dead_sessions(conn: Connection) -> None:
    """Forget sessions that are over."""
    await conn.execute("delete from operator_session s where not is_alive(s)")
