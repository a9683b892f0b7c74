"""PostgreSQL and Valkey: reachable, new enough, safe settings, few rights, and the same time."""

import time
from collections.abc import Iterable
from datetime import datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.doctor.line import Line, fail, ok, warn
from gateway.errors import UserError
from gateway.store import servers
from gateway.store.connection import SERVER_LIMITS, Pool
from gateway.store.migrate import pending_migrations
from gateway.store.servers import ServerHealth
from gateway.valkey_client import close_client, open_client

#: The oldest version that the gateway is tried with.
_OLDEST = 150_000
_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_LIMITED = tuple(name for name in SERVER_LIMITS if name.endswith("timeout"))
#: Prices, limits and leases go by seconds; tokens and certificates by less than a minute.
_SECONDS_APART, _FAR_APART = 2.0, 30.0
_VALKEY_SECONDS = 3.0


async def look_at_database(pool: Pool, *, embedded: bool) -> list[Line]:
    """What there is to say of the database server."""
    async with pool.acquire() as conn:
        missing = await pending_migrations(conn)
        before = time.time()
        health = await servers.get_server_health(conn, [*_DURABLE, *_LIMITED])
        here = (before + time.time()) / 2
    return [
        *of_server(health, embedded=embedded),
        of_migrations(missing),
        of_clock("the database's clock", health.now, here),
    ]


def of_server(health: ServerHealth, *, embedded: bool) -> Iterable[Line]:
    """Version, rights and settings. An embedded server belongs to the gateway, role and all."""
    if health.version_number < _OLDEST:
        yield fail("database", f"PostgreSQL {health.version} is too old", "use 15 or newer")
    else:
        yield ok("database", f"PostgreSQL {health.version} answers as {health.role}")
    cure = "make a role of its own: `smm-gateway database grant ROLE` (docs/postgresql.md)"
    if health.superuser:
        yield fail("database role", f"{health.role} is a superuser", cure)
    elif health.owns and not embedded:
        yield warn("database role", f"{health.role} owns the tables, the ledger among them", cure)
    else:
        yield ok("database role", f"{health.role} is no superuser")
    endless = [name for name in _LIMITED if health.settings.get(name) == "0"]
    if endless:
        yield fail(
            "database limits",
            f"{', '.join(endless)} are off: what hangs would hang for ever",
            f"let a superuser set them for {health.role}, as `smm-gateway database grant` says",
        )
    else:
        yield ok("database limits", "statements, locks and idle transactions end in time")
    unsafe = [name for name in _DURABLE if health.settings.get(name) == "off"]
    if unsafe:
        yield fail(
            "durability",
            f"{', '.join(unsafe)} is off: a crash loses orders that were acknowledged",
            "turn it on in postgresql.conf, and for the role and the database",
        )
    else:
        yield ok("durability", "what is committed is on disk")


def of_migrations(missing: list[str]) -> Line:
    """Whether the database is of this version."""
    if missing:
        return fail(
            "migrations", f"{len(missing)} are missing, first {missing[0]}", "smm-gateway migrate"
        )
    return ok("migrations", "none is missing")


def of_clock(whose: str, theirs: datetime, here: float) -> Line:
    """How far another clock is from this machine's (Unix time in seconds)."""
    apart = theirs.timestamp() - here
    words = f"{whose} is {abs(apart):.1f} s {'ahead' if apart > 0 else 'behind'}"
    cure = "let chrony or systemd-timesyncd keep the time on all machines"
    if abs(apart) > _FAR_APART:
        return fail("clock", words, cure)
    if abs(apart) > _SECONDS_APART:
        return warn("clock", words, cure)
    return ok("clock", words)


async def look_at_valkey(url: str) -> Line:
    """What there is to say of Valkey."""
    try:
        client = open_client(url, timeout_seconds=_VALKEY_SECONDS)
    except UserError as error:
        return fail("valkey", str(error), "set redis.url")
    try:
        if not isinstance(client, Redis):
            await client.ping()
            return ok("valkey", "the cluster answers")
        about = await client.info()
    except (RedisError, OSError, TimeoutError) as error:
        return fail(
            "valkey",
            f"it cannot be reached ({type(error).__name__}): limits fall to half",
            "check redis.url, and that the server runs",
        )
    finally:
        await close_client(client)
    version = about.get("valkey_version") or about.get("redis_version")
    policy, limited = str(about.get("maxmemory_policy")), bool(about.get("maxmemory"))
    if limited and policy.startswith("allkeys"):
        return warn(
            "valkey",
            f"{version} forgets any key when its memory is full ({policy}), and limits with it",
            "set maxmemory-policy to noeviction or volatile-ttl",
        )
    return ok("valkey", f"{version} answers, {policy}")
