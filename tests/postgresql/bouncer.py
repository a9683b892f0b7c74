"""A PgBouncer in transaction mode before the bundled server, where its package is installed."""

import shutil
import signal
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.embedded import erase
from gateway.embedded.child import Child
from gateway.embedded.place import prepare
from gateway.embedded.ports import HOST, free_port
from tests.conftest import eventually

#: Fewer than the gateways' connections, so that these must share.
SERVER_CONNECTIONS = 5


def need_pgbouncer() -> str:
    """The program, or a loud skip."""
    found = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.skip("SKIPPED, NOT TESTED: pgbouncer is not installed (apt-get install pgbouncer)")
    return found


class Bouncer:
    """PgBouncer on one database; ``async with`` starts and stops it."""

    def __init__(self, data_dir: Path, database_url: str) -> None:
        self._program = need_pgbouncer()
        self._place = prepare(data_dir)
        self._server = urlsplit(database_url)
        self._port = free_port()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The database through PgBouncer."""
        server = self._server
        who = f"{server.username}:{server.password}@{HOST}:{self._port}"
        return server._replace(netloc=who).geturl()

    async def __aenter__(self) -> Self:
        server = self._server
        name = server.path.strip("/")
        users = self._place.home / "users.txt"
        users.write_text(f'"{server.username}" "{server.password}"\n')
        config = self._place.home / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n{name} = host={server.hostname} port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self._port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = transaction\n"
            f"default_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 200\n"
        )
        if self._place.user:
            users.chmod(0o644)
            config.chmod(0o644)
        log = self._place.home / "pgbouncer.log"
        self._child = Child.spawn(
            [self._program, str(config)], place=self._place, log=log, death_signal=signal.SIGTERM
        )
        await eventually(self._answers)
        return self

    async def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.exit_code() is None, self._child.last_words()
        try:
            conn = await asyncpg.connect(self.url, statement_cache_size=0)
        except OSError:
            return False
        await conn.close()
        return True

    async def __aexit__(self, *error: object) -> None:
        assert self._child is not None
        await self._child.stop([(signal.SIGTERM, 5)])
        erase(self._place.data_dir)
