"""Migrations: numbered SQL files, each applied once, in order, in a transaction of its own."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources

import asyncpg

from gateway.store import roles
from gateway.store.connection import Connection, transaction

_LOCK = 7_301_001

_TABLE = """
create table if not exists migration (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)"""


class MigrationError(Exception):
    """The database and the migrations of this version do not fit together."""


def migrations() -> list[tuple[str, str]]:
    """The (name, SQL) pairs that this version brings, in order."""
    folder = resources.files("gateway.store") / "migrations"
    found = [f for f in folder.iterdir() if f.name.endswith(".sql")]
    return sorted((f.name, f.read_text(encoding="utf-8")) for f in found)


async def applied_migrations(conn: Connection) -> dict[str, str]:
    """Names and checksums of what was applied; empty for a database that was never migrated."""
    try:
        rows = await conn.fetch("select name, sha256 from migration")
    except asyncpg.UndefinedTableError:
        return {}
    return {row["name"]: row["sha256"] for row in rows}


async def pending_migrations(conn: Connection) -> list[str]:
    """Names of the migrations that the database still lacks."""
    applied = await applied_migrations(conn)
    return [name for name, _ in migrations() if name not in applied]


async def migrate(conn: Connection) -> list[str]:
    """Apply what is missing and return the names of what this call applied.

    Two at once take turns, however long the other takes. The turn ends with its transaction, so
    that a connection through PgBouncer will do. Roles that were given rights get those to what is
    new.

    Raises:
        MigrationError: when an applied file was changed since, the database is newer than us, or
            another session holds a table for too long.
    """
    try:
        return await _migrate(conn)
    except asyncpg.LockNotAvailableError:
        raise MigrationError(
            "a migration needs a table that another session holds: end what works on the "
            "database (a report, a dump), and try again"
        ) from None


async def _migrate(conn: Connection) -> list[str]:
    done: list[str] = []
    async with _turn(conn):
        await conn.execute(_TABLE)
    ours = migrations()
    for name, sql in ours:
        async with _turn(conn):
            applied = await applied_migrations(conn)
            _check(ours, applied)
            if name not in applied:
                await conn.execute(sql)
                await conn.execute(
                    "insert into migration (name, sha256) values ($1, $2)", name, _checksum(sql)
                )
                done.append(name)
    async with _turn(conn):
        for role in await roles.list_application_roles(conn):
            await roles.set_rights(conn, role)
    return done


@asynccontextmanager
async def _turn(conn: Connection) -> AsyncIterator[None]:
    """One migrator at a time. Only the wait for this turn is exempt from the limit on locks."""
    async with transaction(conn, unhurried=True):
        limit = await conn.fetchval("show lock_timeout")
        await conn.execute("set local lock_timeout = 0")
        await conn.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await conn.execute("select set_config('lock_timeout', $1, true)", limit)
        yield


def _checksum(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()


def _check(ours: list[tuple[str, str]], applied: dict[str, str]) -> None:
    known = dict(ours)
    for name, checksum in applied.items():
        if name not in known:
            raise MigrationError(
                f"the database has migration {name}, which this version does not know: "
                "run a newer smm-gateway"
            )
        if _checksum(known[name]) != checksum:
            raise MigrationError(
                f"migration {name} was changed after it had been applied: install smm-gateway as "
                "it was released, or restore a backup that this version has made"
            )
