"""Operators' accounts, their welcome links and their recovery codes."""

from collections.abc import Sequence

from gateway.store.connection import Connection, Record
from schemas.operator_accounts import Operator
from schemas.operators import Role

_OPERATOR = """select o.id, o.name, o.role, o.enabled, o.password is not null as has_password,
                      o.code_step, o.created_at, o.signed_in_at
                 from operator o"""


def _operator(row: Record | None) -> Operator | None:
    return Operator(**{**row, "role": Role(row["role"])}) if row else None


async def insert_operator(conn: Connection, name: str, role: Role) -> int | None:
    """A new account without a password; None where the name is taken."""
    number: int | None = await conn.fetchval(
        "insert into operator (name, role) values ($1, $2) on conflict do nothing returning id",
        name,
        role,
    )
    return number


async def get_operator(conn: Connection, name: str) -> Operator | None:
    """The operator of that name."""
    return _operator(await conn.fetchrow(f"{_OPERATOR} where o.name = $1", name))


async def lock_operator(conn: Connection, operator_id: int) -> Operator | None:
    """An operator, locked against every other change until the transaction ends."""
    return _operator(await conn.fetchrow(f"{_OPERATOR} where o.id = $1 for update", operator_id))


async def list_operators(conn: Connection) -> list[Operator]:
    """All operators, by name."""
    rows = await conn.fetch(f"{_OPERATOR} order by o.name")
    return [found for row in rows if (found := _operator(row))]


async def lock_owners(conn: Connection) -> list[int]:
    """The ids of owners who may sign in, locked, so that the last one stays."""
    rows = await conn.fetch(
        "select id from operator where role = 'owner' and enabled order by id for update"
    )
    return [row["id"] for row in rows]


async def get_password(conn: Connection, operator_id: int) -> str | None:
    """The hash of an operator's password; None where none is set."""
    found: str | None = await conn.fetchval(
        "select password from operator where id = $1", operator_id
    )
    return found


async def set_password(conn: Connection, operator_id: int, hashed: str) -> None:
    """Set the hash of an operator's password."""
    await conn.execute("update operator set password = $2 where id = $1", operator_id, hashed)


async def set_operator(conn: Connection, operator_id: int, role: Role, *, enabled: bool) -> None:
    """Change what an operator may do."""
    await conn.execute(
        "update operator set role = $2, enabled = $3 where id = $1", operator_id, role, enabled
    )


async def set_signed_in(conn: Connection, operator_id: int) -> None:
    """Note that an operator has just signed in."""
    await conn.execute("update operator set signed_in_at = now() where id = $1", operator_id)


async def set_code_step(conn: Connection, operator_id: int, step: int | None) -> None:
    """Note the time step of an accepted one-time code; None ends the second factor."""
    await conn.execute("update operator set code_step = $2 where id = $1", operator_id, step)


async def set_welcome(conn: Connection, operator_id: int, hashed: bytes, hours: int) -> None:
    """Give an operator a link that sets a password, in place of an earlier one."""
    await conn.execute(
        """insert into operator_welcome values ($1, $2, now() + $3 * interval '1 hour')
           on conflict (operator_id) do update
              set hash = excluded.hash, expires_at = excluded.expires_at""",
        operator_id,
        hashed,
        hours,
    )


async def get_welcomed(conn: Connection, hashed: bytes) -> Operator | None:
    """Whom a welcome link is for; None for one that was used, is too old, or was never made."""
    row = await conn.fetchrow(
        f"""{_OPERATOR} join operator_welcome w on w.operator_id = o.id
             where w.hash = $1 and w.expires_at > now() and o.enabled""",
        hashed,
    )
    return _operator(row)


async def delete_welcome(conn: Connection, operator_id: int, hashed: bytes) -> bool:
    """Use a welcome link up; False where it is good no more, or was replaced by another."""
    done = await conn.execute(
        """delete from operator_welcome
            where operator_id = $1 and hash = $2 and expires_at > now()""",
        operator_id,
        hashed,
    )
    return done == "DELETE 1"


async def delete_welcomes(conn: Connection, operator_id: int) -> None:
    """Take an operator's welcome link back."""
    await conn.execute("delete from operator_welcome where operator_id = $1", operator_id)


async def insert_recovery_codes(
    conn: Connection, operator_id: int, hashes: Sequence[bytes]
) -> None:
    """Give an operator further recovery codes."""
    await conn.execute(
        "insert into operator_recovery select $1, unnest($2::bytea[])", operator_id, hashes
    )


async def delete_recovery_code(conn: Connection, operator_id: int, hashed: bytes) -> bool:
    """Use a recovery code up; False where there is no such code."""
    done = await conn.execute(
        "delete from operator_recovery where operator_id = $1 and hash = $2", operator_id, hashed
    )
    return done == "DELETE 1"


async def delete_recovery_codes(conn: Connection, operator_id: int) -> None:
    """Take all recovery codes away."""
    await conn.execute("delete from operator_recovery where operator_id = $1", operator_id)


async def count_recovery_codes(conn: Connection, operator_id: int) -> int:
    """How many recovery codes an operator has left."""
    return int(
        await conn.fetchval(
            "select count(*) from operator_recovery where operator_id = $1", operator_id
        )
    )
