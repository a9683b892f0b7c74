"""Reaching the database: connected or explained, and migrated or refused."""

import asyncpg

from gateway.config import Settings
from gateway.errors import UserError
from gateway.store.connection import Pool, open_pool
from gateway.store.migrate import MigrationError, migrate, pending_migrations


async def connect(settings: Settings, url: str) -> Pool:
    """The pool of a database that answers; whether it is migrated is not looked at.

    Raises:
        UserError: when its URL cannot be read, or the database cannot be reached.
    """
    try:
        return await open_pool(url, size=settings.database.pool_size)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UserError(
            f"the database cannot be reached ({type(error).__name__}: {error}): "
            "check database.url, or start the embedded engines with `smm-gateway serve`"
        ) from None
    except (ValueError, OverflowError):
        # The reason may quote a password that was taken for a port.
        raise UserError(
            "database.url cannot be read: write postgresql://user:password@host:port/name, with "
            "special characters of the password as %XX"
        ) from None


async def migrate_database(settings: Settings, url: str) -> list[str]:
    """Apply the migrations that a database lacks; returns their names.

    Raises:
        UserError: when it cannot be reached, or does not fit this version.
    """
    pool = await connect(settings, url)
    try:
        async with pool.acquire() as conn:
            return await migrate(conn)
    except MigrationError as error:
        raise UserError(str(error)) from None
    finally:
        await pool.close()


async def require_migrated(pool: Pool) -> None:
    """Raise UserError unless the database has every migration of this version."""
    async with pool.acquire() as conn:
        if missing := await pending_migrations(conn):
            raise UserError(f"the database lacks migration {missing[0]}: run `smm-gateway migrate`")
