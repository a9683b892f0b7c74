"""The application's role: what it may do in the database, and what the server limits it to."""

from dataclasses import dataclass

from gateway.store.connection import SERVER_LIMITS, Connection

#: Ours to change by migrations and commands of the owner alone.
READ_ONLY = ("migration", "application_role")
#: Ledger and history: what was written stays as it was written.
APPEND_ONLY = ("entry", "order_event", "operator_action", "detached_range", "detached_sum")
#: Rows change and never go.
KEPT = ("orders", "attempt", "balance", "confirmation")
#: Functions that run with the owner's rights.
CALLABLE = ("make_order_ranges()",)


@dataclass(frozen=True, slots=True)
class Role:
    """A role as the server has it. ``owns`` is whether it could do all that we may do."""

    name: str
    superuser: bool
    owns: bool


async def get_role(conn: Connection, name: str) -> Role | None:
    """The role of that name; None when there is none."""
    row = await conn.fetchrow(
        """select rolname as name, rolsuper as superuser,
                  pg_has_role(oid, (select relowner from pg_class where oid = 'entry'::regclass),
                              'member') as owns
             from pg_roles where rolname = $1""",
        name,
    )
    return Role(**row) if row else None


async def set_rights(conn: Connection, role: str) -> None:
    """Give a role the rights that the application needs, and no others on what is ours."""
    await conn.execute(
        "select grant_application($1, $2, $3, $4, $5::text[]::regprocedure[])",
        role,
        READ_ONLY,
        APPEND_ONLY,
        KEPT,
        CALLABLE,
    )


async def list_application_roles(conn: Connection) -> list[str]:
    """Roles that were given rights and are still there."""
    rows = await conn.fetch(
        "select name from application_role join pg_roles on rolname = name order by 1"
    )
    return [row["name"] for row in rows]


async def insert_application_role(conn: Connection, name: str) -> None:
    """Note a role, so that migrations give it rights to what they add."""
    await conn.execute("insert into application_role values ($1) on conflict do nothing", name)


async def get_limits(conn: Connection, name: str) -> list[str]:
    """The statements that set the server's limits for a role in this database."""
    rows = await conn.fetch(
        """select format('alter role %I in database %I set %s = %L',
                         $1::name, current_database(), key, value) as statement
             from unnest($2::text[], $3::text[]) as l(key, value)""",
        name,
        list(SERVER_LIMITS),
        list(SERVER_LIMITS.values()),
    )
    return [row["statement"] for row in rows]


async def set_limits(conn: Connection, name: str) -> None:
    """Set the server's limits for a role in this database.

    Raises:
        asyncpg.InsufficientPrivilegeError: when only a superuser may, as a rule.
    """
    await conn.execute("; ".join(await get_limits(conn, name)))


async def get_may_look(conn: Connection) -> bool:
    """Whether we may look into any schema at all: where not, every table seems to be missing."""
    return bool(await conn.fetchval("select current_schema() is not null"))


async def get_can_create(conn: Connection, name: str) -> bool:
    """Whether a role could create anything in our schema, by whatever right."""
    return bool(
        await conn.fetchval("select has_schema_privilege($1, current_schema(), 'create')", name)
    )


async def get_sync_standbys(conn: Connection) -> int | None:
    """How many standbys have confirmed what is committed; None where none is asked for.

    None too where the role may not see it: that takes ``pg_read_all_stats``.
    """
    number = await conn.fetchval(
        """select case when current_setting('synchronous_standby_names') <> ''
                        and pg_has_role('pg_read_all_stats', 'usage')
                  then (select count(*) from pg_stat_replication
                         where sync_state in ('sync', 'quorum')) end"""
    )
    return None if number is None else int(number)
