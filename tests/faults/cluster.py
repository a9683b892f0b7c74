"""A primary and a standby from the bundled programs, to be killed, frozen and promoted.

Whoever is on this machine may enter (``trust``), so nothing here takes a password.
"""

import asyncio
import ctypes
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeAlias

import asyncpg
import pytest

from gateway.embedded import erase
from gateway.embedded.binaries import binaries_for_anyone, find_binaries
from gateway.embedded.child import Child
from gateway.embedded.place import prepare
from gateway.embedded.ports import HOST, free_port
from tests.application_role import OWNER, make_role
from tests.conftest import eventually

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_IPC_RMID = 0
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "wal_keep_size": "256MB",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "100ms",
    "log_checkpoints": "off",
}


class Server:
    """One PostgreSQL, whose data live in a place of their own; a port stays its own for good."""

    def __init__(self, data_dir: Path, *, synchronous: bool) -> None:
        self.port = free_port()
        self._synchronous = synchronous
        self._place = prepare(data_dir)
        programs = binaries_for_anyone() if self._place.user else find_binaries()
        self._programs = programs.postgres
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"{HOST}:{self.port}"

    @property
    def superuser_url(self) -> str:
        """The superuser on the maintenance database."""
        return f"postgresql://postgres@{self.address}/postgres?sslmode=disable"

    async def initialise(self) -> None:
        """Make an empty database."""
        how = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync")
        await self._run("initdb", "-D", self._data, "--username=postgres", *how)

    async def copy(self, other: "Server") -> None:
        """Become a standby of another server: a copy of it that follows it."""
        shutil.rmtree(self._place.pgdata, ignore_errors=True)
        source = ("-h", HOST, "-p", str(other.port), "-U", "postgres")
        how = ("-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
        await self._run("pg_basebackup", "-D", self._data, *source, *how)

    async def start(self) -> None:
        """Start, and wait until it takes connections."""
        names = "*" if self._synchronous else ""
        settings = _SETTINGS | {"port": str(self.port), "synchronous_standby_names": names}
        command = [str(self._programs / "postgres"), "-D", self._data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = self._place.home / "postgres.log"
        self._child = Child.spawn(command, place=self._place, log=log, death_signal=signal.SIGQUIT)
        await eventually(self._answers)

    async def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.exit_code() is None, self._child.last_words()
        with suppress(OSError, asyncpg.PostgresError):
            await (await self.connect()).close()
            return True
        return False

    async def connect(self, url: str | None = None) -> Connection:
        """A connection whose own commits wait for nobody."""
        conn: Connection = await asyncpg.connect(
            url or self.superuser_url, server_settings={"synchronous_commit": "local"}, timeout=5
        )
        return conn

    async def kill(self) -> None:
        """``kill -9`` of every process at once, like a machine that is switched off."""
        if self._child is None:
            return
        lock = self._place.pgdata / "postmaster.pid"
        lines = lock.read_text().splitlines()
        self._signal(signal.SIGKILL)
        await self._child.wait(10)
        self._child = None
        # Nobody starts on these data again, who would take its shared memory over.
        ctypes.CDLL(None).shmctl(int(lines[6].split()[1]), _IPC_RMID, None)

    def freeze(self) -> None:
        """Stop every process in its tracks: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let every process go on."""
        self._signal(signal.SIGCONT)

    async def stop_following(self) -> None:
        """Cut the standby off: what is committed from now on does not reach it."""
        conn = await self.connect()
        try:
            await conn.execute("alter system set primary_conninfo = ''")
            await conn.execute("select pg_reload_conf()")
        finally:
            await conn.close()

    async def promote(self) -> None:
        """Make the standby a primary."""
        conn = await self.connect()
        try:
            assert await conn.fetchval("select pg_promote(true, 30)")
        finally:
            await conn.close()

    async def stop(self) -> None:
        """End it and delete its data."""
        if self._child is not None:
            self.thaw()
            await self._child.stop([(signal.SIGINT, 10)])
            self._child = None
        erase(self._place.data_dir)

    @property
    def _data(self) -> str:
        return str(self._place.pgdata)

    def _signal(self, number: signal.Signals) -> None:
        """To the postmaster first, so that it starts nobody anew."""
        pid = int((self._place.pgdata / "postmaster.pid").read_text().split("\n")[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    async def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        log = self._place.home / f"{program}.log"
        child = Child.spawn(command, place=self._place, log=log, death_signal=signal.SIGKILL)
        assert await child.wait(60) == 0, child.last_words()


class Cluster:
    """A primary and its standby; commits wait for the standby unless ``synchronous`` is False."""

    def __init__(self, folder: Path, *, synchronous: bool = True) -> None:
        if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
            pytest.skip("SKIPPED, NOT TESTED: this system does not list a process's children")
        self.synchronous = synchronous
        self.primary, self.standby = self._servers = tuple(
            Server(folder / name, synchronous=synchronous) for name in ("one", "two")
        )

    @property
    def url(self) -> str:
        """The owner's, with both servers; the one that was the first standby comes second."""
        servers = ",".join(server.address for server in self._servers)
        return f"postgresql://{OWNER}@{servers}/{OWNER}?sslmode=disable"

    @property
    def primary_url(self) -> str:
        """The owner's, of the server that is primary now."""
        return f"postgresql://{OWNER}@{self.primary.address}/{OWNER}?sslmode=disable"

    async def __aenter__(self) -> Self:
        try:
            await self.primary.initialise()
            await self.primary.start()
            await self._make_database()
            await self.rebuild()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))

    async def _make_database(self) -> None:
        conn = await self.primary.connect()
        try:
            await conn.execute(f"create role {OWNER} login")
            await conn.execute(f"create database {OWNER} owner {OWNER}")
        finally:
            await conn.close()
        await make_role(self.primary.superuser_url + "&synchronous_commit=local")

    async def fail_over(self) -> None:
        """Kill the primary and promote the standby."""
        await self.primary.kill()
        self.standby.thaw()
        await self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    async def rebuild(self) -> None:
        """Make a standby of the server that does not run, and wait until it is in step."""
        await self.standby.copy(self.primary)
        await self.standby.start()
        await eventually(self._in_step)

    async def _in_step(self) -> bool:
        conn = await self.primary.connect()
        try:
            wanted = "sync" if self.synchronous else "async"
            return bool(
                await conn.fetchval(
                    """select count(*) from pg_stat_replication
                        where state = 'streaming' and sync_state = $1""",
                    wanted,
                )
            )
        finally:
            await conn.close()

    async def commits_waiting(self) -> int:
        """How many commits wait for the standby."""
        conn = await self.primary.connect()
        try:
            return int(
                await conn.fetchval(
                    "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
                )
            )
        finally:
            await conn.close()
