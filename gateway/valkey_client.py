"""The one way to a Redis or Valkey: from a URL to a client, for one server, Sentinel or Cluster.

=====================  =========================================================================
one server             ``redis://[user:password@]host:port/0``, ``rediss://`` with TLS, ``unix://``
behind Sentinels       ``redis+sentinel://[user:password@]host:port,host:port/name/0``
a Cluster              ``redis+cluster://[user:password@]host:port,host:port``
=====================  =========================================================================

With TLS the last two are ``rediss+sentinel`` and ``rediss+cluster``. User and password are those of
the data servers.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, TypeAlias
from urllib.parse import unquote

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from gateway.errors import UserError

#: One server (or the primary that Sentinels name), or a Cluster: what both can do is used alike.
Client: TypeAlias = "Redis | RedisCluster"

_CANCEL_SECONDS = 0.5
_PORT, _SENTINEL_PORT = 6379, 26379
_FORMS = (
    "redis://host:port/0, redis+sentinel://host:port,host:port/name/0 or "
    "redis+cluster://host:port,host:port (with TLS: rediss)"
)


def open_client(url: str, *, timeout_seconds: float) -> Client:
    """A client that connects when it is first used, and never tries a call again by itself.

    A server that says nothing for ``timeout_seconds`` raises, like one that is away.

    Raises:
        UserError: when the URL cannot be read. Its text is not quoted: it may hold a password.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme, _, rest = url.partition("://")
    security, _, kind = scheme.partition("+")
    try:
        if scheme in ("redis", "rediss", "unix"):
            client: Redis = Redis.from_url(url, **options)
            return client
        if security not in ("redis", "rediss") or kind not in ("sentinel", "cluster"):
            raise ValueError("another scheme")
        if security == "rediss":
            options["ssl"] = True
        if kind == "sentinel":
            return _behind_sentinels(rest, options)
        return _cluster(rest, options)
    except ValueError:
        # The reason may quote a password that was taken for a port.
        raise UserError(
            f"redis.url cannot be read: write {_FORMS}, with special characters of the password "
            "as %XX"
        ) from None


async def run_script(
    client: Client, script: str, calls: Iterable[tuple[str, *tuple[float, ...]]]
) -> list[Any]:
    """Run a Lua script for each of these keys, each with its arguments, in one round trip.

    Gives the answers in order; a call that failed alone is an exception among them.
    """
    pipe = client.pipeline(transaction=False)
    for key, *arguments in calls:
        pipe.eval(script, 1, key, *arguments)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    return answers


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks that use a client, until they have ended.

    Once is not enough: a call that is just connecting anew can swallow a cancellation.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_SECONDS)


async def close_client(client: Client) -> None:
    """Close a client's connections, also those to Sentinels."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def _behind_sentinels(rest: str, options: dict[str, Any]) -> Redis:
    where, _, path = rest.partition("/")
    name, _, number = path.partition("/")
    if not name or not (not number or (number.isascii() and number.isdecimal())):
        raise ValueError("no name of the primary, or no database number")
    hosts = _hosts(where, _SENTINEL_PORT)
    sentinels = Sentinel(hosts, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
    data = options | _login(where) | {"db": int(number or 0)}
    primary: Redis = sentinels.master_for(unquote(name), **data)
    return primary


def _cluster(rest: str, options: dict[str, Any]) -> RedisCluster:
    where, _, path = rest.partition("/")
    if path:
        raise ValueError("a Cluster has one database")
    nodes = [ClusterNode(host, port) for host, port in _hosts(where, _PORT)]
    # Nodes that are away for a failover take their part of the keys along, not all of them.
    options |= {"startup_nodes": nodes, "require_full_coverage": False} | _login(where)
    return RedisCluster(**options)


def _login(where: str) -> dict[str, str]:
    user, _, password = where.rpartition("@")[0].partition(":")
    found = {"username": unquote(user), "password": unquote(password)}
    return {name: text for name, text in found.items() if text}


def _hosts(where: str, default_port: int) -> list[tuple[str, int]]:
    """``host:port,host,[::1]:port`` as pairs. Raises ValueError."""
    found = []
    for text in where.rpartition("@")[2].split(","):
        host, colon, port = text.strip().rpartition(":")
        if not colon or port.endswith("]"):
            host, port = text.strip(), str(default_port)
        if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
            raise ValueError("not a host and a port")
        found.append((host.removeprefix("[").removesuffix("]"), int(port)))
    return found
