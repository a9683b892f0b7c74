"""The role that gateways run as in tests: it owns nothing, its rights are `database grant`'s."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from gateway.embedded import Addresses
from gateway.store import roles
from gateway.store.connection import Connection

OWNER = "smm"
APPLICATION = "app"
_PASSWORD = "app-password"


def as_application(database_url: str) -> str:
    """The same servers and database, as the application's role."""
    parts = urlsplit(database_url)
    servers = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{APPLICATION}:{_PASSWORD}@{servers}").geturl()


def superuser_url(engines: Addresses, data_dir: Path) -> str:
    """The bundled server's superuser on its maintenance database, as its supervisor knows him."""
    password = json.loads((data_dir / "secrets.json").read_text())["superuser"]
    parts = urlsplit(engines.database_url)
    servers = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"postgres:{password}@{servers}", path="/postgres").geturl()


async def make_role(url: str) -> None:
    """Make the role; ``url`` is a superuser's. The owner, who watches in tests, may see all."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(f"create role {APPLICATION} login password '{_PASSWORD}'")
        await conn.execute(f"grant pg_monitor, pg_signal_backend to {OWNER}")
    finally:
        await conn.close()


async def give_rights(conn: Connection) -> None:
    """Give the role its rights in a migrated database, as `database grant` does."""
    await roles.set_rights(conn, APPLICATION)
    await roles.insert_application_role(conn, APPLICATION)
