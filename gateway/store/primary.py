"""Which servers a database URL names, and a connection to the one that takes writes."""

import asyncio
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

_PORT = 5432
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_PARAMETERS = (
    *("host", "port", "user", "password", "passfile", "dbname", "database"),
    *("sslmode", *_FILES, "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_WRITABLE = ("any", "primary", "read-write")

# The kernel ends a connection whose other end is silent for so long (a machine that lost its power
# says nothing). Nothing else may end a COMMIT that waits: its answer would be unknown.
_SILENT_SECONDS = 15
_PROBE_SECONDS = 5


class BadAddress(ValueError):
    """A database URL that cannot be used; the text says why and quotes no password."""


class NoPrimary(ConnectionError):
    """None of several servers takes writes just now; the text says why not, for each."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a database URL says. ``wanted`` is its target_session_attrs."""

    url: str = field(repr=False)
    servers: tuple[tuple[str, int], ...]
    wanted: str

    @classmethod
    def read(cls, url: str, *, pgbouncer: bool = False) -> Self:
        """Read a URL of one or several servers.

        A connection to a server that takes no writes is refused, unless the URL says otherwise.
        PgBouncer is taken as it is: what it says of the server behind it may be old.

        Raises:
            BadAddress: for one that cannot be used.
        """
        try:
            parts = urlsplit(url)
            query = {
                name: values[-1]
                for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()
            }
        except ValueError:
            raise BadAddress("it cannot be read") from None
        if parts.scheme not in ("postgresql", "postgres"):
            raise BadAddress("it does not begin with postgresql://")
        if "@" in parts.query and "@" not in parts.netloc:
            # What follows may be the end of a password: nothing of it is quoted.
            raise BadAddress("it has a ? before its @")
        if parts.netloc.count("@") > 1:
            raise BadAddress("it has more than one @")
        _check_parameters(query)
        named = unquote(parts.netloc.rpartition("@")[2]) or query.get("host", "")
        ports = query.get("port", "").split(",") if "port" in query else []
        default = "any" if pgbouncer else "read-write"
        return cls(url, _servers(named, ports), query.get("target_session_attrs", default))


def _check_parameters(query: dict[str, str]) -> None:
    for name, value in query.items():
        if name not in _PARAMETERS:
            raise BadAddress(f"there is no parameter {name}, only {', '.join(_PARAMETERS)}")
        if name in _FILES and not Path(value).is_file():
            raise BadAddress(f"there is no file {value}, which {name} names")
    _check_choice(query, "sslmode", _SSL_MODES)
    _check_choice(query, "target_session_attrs", _WRITABLE)


def _check_choice(query: dict[str, str], name: str, choices: tuple[str, ...]) -> None:
    if name in query and query[name] not in choices:
        raise BadAddress(f"{name} is one of {', '.join(choices)}")


def _servers(named: str, ports: list[str]) -> tuple[tuple[str, int], ...]:
    """Host and port of each server, in the order in which they are named."""
    found: list[tuple[str, int]] = []
    for position, server in enumerate(named.split(",")):
        if server.startswith("["):  # an IPv6 address
            host, _, rest = server[1:].partition("]")
            port = rest.removeprefix(":")
        elif server.startswith("/"):  # the folder of a Unix socket
            host, port = server, ""
        else:
            host, _, port = server.partition(":")
        if not host:
            raise BadAddress("it names no host" if not named else "one of its hosts is empty")
        if not port and ports:
            port = ports[position] if position < len(ports) else ports[-1]
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
            # The text may be a part of a password.
            raise BadAddress("one of its ports is no number from 1 to 65535")
        found.append((host, int(port or _PORT)))
    return tuple(found)


class Servers:
    """Connects to the first server that takes writes, beginning with the one that last did."""

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._last = 0

    async def connect(
        self, dsn: str | None = None, **settings: Any
    ) -> "asyncpg.Connection[asyncpg.Record]":
        """A new connection, in the form in which a pool asks for one (it has no ``dsn`` to tell).

        Every server gets the whole time to answer.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InternalClientError: when the only server
                cannot be reached, refuses us or takes no writes.
            NoPrimary: when none of several can be used.
        """
        servers = self._address.servers
        refusals: dict[int, Exception] = {}
        for step in range(len(servers)):
            position = (self._last + step) % len(servers)
            try:
                conn = await self._connect_to(*servers[position], settings)
            except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                refusals[position] = error
            else:
                self._last = position
                return conn
        if len(servers) == 1:
            raise refusals[0]
        said = [
            f"{host}:{port} {self._refusal(refusals[position])}"
            for position, (host, port) in enumerate(servers)
        ]
        raise NoPrimary(f"none of {len(servers)} servers takes writes: {'; '.join(said)}")

    async def _connect_to(
        self, host: str, port: int, settings: dict[str, Any]
    ) -> "asyncpg.Connection[asyncpg.Record]":
        conn: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            self._address.url,
            host=host,
            port=port,
            timeout=self._seconds,
            target_session_attrs=SessionAttribute(self._address.wanted),
            **settings,
        )
        _notice_silence(conn)
        return conn

    def _refusal(self, error: Exception) -> str:
        match error:
            case asyncpg.TargetServerAttributeNotMatched():
                return "is a standby"
            case TimeoutError():
                return f"did not answer in {self._seconds:g} s"
            case ConnectionRefusedError():
                return "refused the connection"
        return f"failed ({type(error).__name__}: {error})"


def _notice_silence(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Have the kernel end the connection when the server's machine is gone (Linux)."""
    transport: asyncio.Transport = conn._transport  # type: ignore[attr-defined]
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    options = {
        "TCP_KEEPIDLE": _PROBE_SECONDS,
        "TCP_KEEPINTVL": _PROBE_SECONDS,
        "TCP_KEEPCNT": _SILENT_SECONDS // _PROBE_SECONDS,
        "TCP_USER_TIMEOUT": _SILENT_SECONDS * 1_000,  # also for what was sent and never confirmed
    }
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
