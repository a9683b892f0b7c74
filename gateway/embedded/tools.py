"""Runs PostgreSQL's own client programs (pg_basebackup, pg_dump) against a server."""

import asyncio
import re
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.embedded.child import ENVIRONMENT
from gateway.embedded.errors import EmbeddedError

#: A host of a URL, an IPv6 address in brackets, and its port.
_HOST = re.compile(r"(?:\[([^]]*)\]|([^:]*))(?::(\d*))?")
#: What a URL's parameters are called in the environment.
_VARIABLES = {
    **{name: f"PG{name.upper()}" for name in ("host", "port", "user", "password", "passfile")},
    **{name: f"PG{name.upper()}" for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")},
    "sslcrl": "PGSSLCRL",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


async def run_tool(
    program: Path, arguments: Sequence[str], url: str, heard: Callable[[str], None] | None = None
) -> str:
    """Run a program against the server at ``url``; what it printed. Cancelled, it is ended.

    ``heard`` gets each line of its standard error. The password is in its environment alone, where
    only the same user sees it. Raises EmbeddedError with its last line when it fails.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env={**ENVIRONMENT, **environment_of(url)},
        # A terminal's Ctrl-C is for us: we end the program.
        start_new_session=True,
        limit=1 << 20,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said = [""]
    try:
        output = asyncio.ensure_future(process.stdout.read())
        async for line in process.stderr:
            text = line.decode(errors="replace").strip()
            if heard is not None:
                heard(text)
            said = [*said[-5:], text] if text else said
        printed = (await output).decode()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise EmbeddedError(f"{program.name} failed: {_telling(said, program.name)}")
    return printed


def environment_of(url: str) -> dict[str, str]:
    """A database URL as the variables that PostgreSQL's programs read."""
    parts = urlsplit(url)
    # Several hosts and their ports stand in one place; the first port is not all of them.
    hosts = [_HOST.fullmatch(text) for text in parts.netloc.rpartition("@")[2].split(",")]
    found = {
        "PGHOST": ",".join(unquote(host[1] or host[2]) for host in hosts if host),
        "PGPORT": ",".join(host[3] or "5432" for host in hosts if host),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
    }
    given = dict(parse_qsl(parts.query))
    if not found["PGHOST"] or "port" in given:
        del found["PGPORT"]
    # As the gateway itself: a standby may lack what was committed last.
    found |= {"PGCONNECT_TIMEOUT": "10", "PGTARGETSESSIONATTRS": "read-write"}
    found |= {_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES}
    return {name: value for name, value in found.items() if value}


def _telling(said: Sequence[str], program: str) -> str:
    telling = [line for line in said if "error:" in line or "FATAL" in line] or said
    return telling[-1].removeprefix(f"{program}: ").removeprefix("error: ") or "no output"
