"""Reaching the database: connected or explained, and migrated or refused."""

import ssl

import asyncpg
import structlog

from gateway.config import Settings, require_master_keys
from gateway.errors import UserError
from gateway.resealing import reseal
from gateway.store import roles, secrets, servers
from gateway.store.connection import Pool, is_superuser, open_pool
from gateway.store.migrate import MigrationError, migrate, pending_migrations
from gateway.store.primary import BadAddress

log = structlog.get_logger()

#: The database is away, or will not have us.
UNREACHABLE: tuple[type[Exception], ...] = (
    *(OSError, TimeoutError, asyncpg.PostgresError),
    *(asyncpg.InterfaceError, asyncpg.InternalClientError),
)


async def connect(settings: Settings, url: str) -> Pool:
    """The pool of a database that answers; whether it is migrated is not looked at.

    Raises:
        UserError: when its URL cannot be read, or the database cannot be reached.
    """
    database = settings.database
    # PgBouncer stands before the application only; whoever migrates has an address of his own.
    owner = database.migration_url
    through = database.pgbouncer and (owner is None or url != owner.get_secret_value())
    try:
        return await open_pool(url, size=database.pool_size, pgbouncer=through)
    except BadAddress as error:
        raise UserError(
            f"database.url cannot be used: {error}; write postgresql://user:password@host:port/name"
            " (several hosts parted by commas), with special characters of the password as %XX"
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise UserError(
            f"the database's certificate is not trusted ({error.verify_message}): name the "
            "authority that signed it as sslrootcert in database.url, and the server as it does"
        ) from None
    except asyncpg.ProtocolViolationError as error:
        raise UserError(
            f"the server does not speak as PostgreSQL does ({error}): if database.url leads "
            "through PgBouncer, set database.pgbouncer to true"
        ) from None
    except asyncpg.TargetServerAttributeNotMatched:
        raise UserError(
            "the database takes no writes (it is a standby): name the primary in database.url, or "
            "all servers with commas between them"
        ) from None
    except UNREACHABLE as error:
        raise UserError(
            f"the database cannot be reached ({type(error).__name__}: {error}): "
            "check database.url, or start the embedded engines with `smm-gateway serve`"
        ) from None


async def migrate_database(settings: Settings, url: str) -> list[str]:
    """Apply the migrations that a database lacks; returns their names.

    Secrets that an older version has left in plain text are sealed.

    Raises:
        UserError: when it cannot be reached, or does not fit this version; and when there are
            such secrets and no master key.
    """
    owner = settings.database.migration_url
    pool = await connect(settings, url if owner is None else owner.get_secret_value())
    try:
        async with pool.acquire() as conn:
            applied = await migrate(conn)
            unsealed = None in await secrets.count_secrets(conn)
        if unsealed:
            await reseal(pool, require_master_keys(settings))
        return applied
    except MigrationError as error:
        raise UserError(str(error)) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise UserError(
            f"the role may not migrate ({error}): name the owner's database.migration_url"
        ) from None
    finally:
        await pool.close()


async def require_migrated(pool: Pool) -> None:
    """Raise UserError unless the database has every migration of this version."""
    async with pool.acquire() as conn:
        try:
            missing = await pending_migrations(conn)
            rights = await roles.get_may_look(conn)
        except asyncpg.InsufficientPrivilegeError:
            missing, rights = [], False
    if not rights:
        raise UserError(
            "the role of database.url has no rights: run `smm-gateway database grant ROLE` "
            "with the owner's database.migration_url"
        )
    if missing:
        raise UserError(f"the database lacks migration {missing[0]}: run `smm-gateway migrate`")


async def warn_of_superuser(pool: Pool) -> None:
    """Log a warning when the role that we are connected as is above all rights."""
    async with pool.acquire() as conn:
        if is_superuser(conn):
            log.warning("database.superuser", cure="see docs/postgresql.md: roles")


async def require_room(settings: Settings, url: str, workers: int) -> None:
    """Raise UserError when the database has no connections for so many processes.

    One more is started while they are exchanged. What PgBouncer shares out is not known here.
    """
    if settings.database.pgbouncer:
        return
    pool = await connect(settings, url)
    try:
        async with pool.acquire() as conn:
            allowed = await servers.get_connection_limit(conn)
    finally:
        await pool.close()
    size = settings.database.pool_size
    most = allowed // size - 1
    if workers > most:
        fewer = f"take --workers {most} or fewer, " if most > 0 else ""
        raise UserError(
            f"--workers {workers} may need {(workers + 1) * size} connections (database.pool_size "
            f"{size} each, and one process more during a restart), and the database allows "
            f"{allowed}: {fewer}lower database.pool_size, or raise max_connections"
        )
