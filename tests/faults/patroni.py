"""Three nodes under Patroni with an etcd, on loopback, where Debian's packages are installed."""

import asyncio
import ctypes
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeAlias

import aiohttp
import asyncpg
import pytest
import yaml

from gateway.embedded import erase
from gateway.embedded.binaries import DEBIAN_POSTGRES
from gateway.embedded.child import Child
from gateway.embedded.place import prepare
from gateway.embedded.ports import HOST, free_port
from tests.application_role import OWNER, make_role
from tests.conftest import eventually

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

#: Patroni's least; a failover takes about as long.
TTL_SECONDS = 20
_IPC_RMID = 0
_STOP = [(signal.SIGTERM, 20.0)]


def need_patroni() -> Path:
    """The programs of PostgreSQL that Patroni is to run, or a loud skip."""
    programs = sorted(DEBIAN_POSTGRES.glob("*/bin"))
    missing = [name for name in ("patroni", "etcd") if shutil.which(name) is None]
    missing += [] if programs else ["postgresql"]
    if missing:
        pytest.skip(
            f"SKIPPED, NOT TESTED: failovers by Patroni; {', '.join(missing)} not installed "
            "(apt-get install patroni etcd-server postgresql)"
        )
    return programs[-1]


class Node:
    """One Patroni and the PostgreSQL that it runs."""

    def __init__(self, data_dir: Path, name: str, programs: Path, etcd: str) -> None:
        self.name = name
        self.port = free_port()
        self.rest_port = free_port()
        self._place = prepare(data_dir)
        self._config = self._place.home / "patroni.yml"
        self._config.write_text(yaml.safe_dump(self._settings(programs, etcd)))
        if user := self._place.user:
            os.chown(self._config, user.uid, user.gid)
        self._child: Child | None = None

    def start(self) -> None:
        """Start, as a new member or an old one that comes back."""
        self._child = Child.spawn(
            [shutil.which("patroni") or "", str(self._config)],
            place=self._place,
            log=self._place.home / "patroni.log",
            death_signal=signal.SIGTERM,
        )

    async def kill(self) -> None:
        """``kill -9`` of Patroni, and of its PostgreSQL with all its processes."""
        assert self._child is not None
        lines = (self._place.pgdata / "postmaster.pid").read_text().splitlines()
        postmaster = int(lines[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        await self._child.stop(())
        for process in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._child = None
        ctypes.CDLL(None).shmctl(int(lines[6].split()[1]), _IPC_RMID, None)

    async def stop(self) -> None:
        """End it and delete its data."""
        if self._child is not None:
            await self._child.stop(_STOP)
        erase(self._place.data_dir)

    def log_text(self) -> str:
        """What Patroni and PostgreSQL said."""
        log = self._place.home / "patroni.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _settings(self, programs: Path, etcd: str) -> dict[str, Any]:
        home = str(self._place.home)
        return {
            "scope": "smm",
            "name": self.name,
            "restapi": {"listen": f"{HOST}:{self.rest_port}",
                        "connect_address": f"{HOST}:{self.rest_port}"},
            "etcd3": {"host": etcd},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS, "loop_wait": 2, "retry_timeout": 3,
                    "synchronous_mode": True, "synchronous_mode_strict": True,
                    "postgresql": {"parameters": {"shared_buffers": "32MB", "max_connections": 60,
                                                  "wal_keep_size": "256MB"}},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
                "pg_hba": [f"host {what} all {HOST}/32 trust" for what in ("all", "replication")],
            },
            "postgresql": {
                "listen": f"{HOST}:{self.port}", "connect_address": f"{HOST}:{self.port}",
                "data_dir": str(self._place.pgdata), "bin_dir": str(programs),
                "pgpass": f"{home}/pgpass",
                "authentication": {"superuser": {"username": "postgres", "password": "p"},
                                   "replication": {"username": "replicator", "password": "p"}},
                "parameters": {"unix_socket_directories": home},
                "remove_data_directory_on_diverged_timelines": True,
                "remove_data_directory_on_rewind_failure": True,
            },
        }  # fmt: skip


class PatroniCluster:
    """Three nodes, of which one is leader and one its synchronous standby."""

    def __init__(self, folder: Path) -> None:
        programs = need_patroni()
        self._etcd_place = prepare(folder / "etcd")
        client, peer = free_port(), free_port()
        self._etcd_urls = (f"http://{HOST}:{client}", f"http://{HOST}:{peer}")
        self._nodes = [
            Node(folder / name, name, programs, f"{HOST}:{client}") for name in ("a", "b", "c")
        ]
        self._etcd: Child | None = None

    @property
    def url(self) -> str:
        """The owner's, with all nodes."""
        nodes = ",".join(f"{HOST}:{node.port}" for node in self._nodes)
        return f"postgresql://{OWNER}@{nodes}/{OWNER}?sslmode=disable"

    @property
    def primary_url(self) -> str:
        """The owner's, for programs that do not look for the primary by themselves."""
        return f"{self.url}&target_session_attrs=read-write"

    async def __aenter__(self) -> Self:
        try:
            self._start_etcd()
            for node in self._nodes:
                node.start()
            await self.whole()
            await self._make_database()
        except BaseException:
            print(*(node.log_text()[-2000:] for node in self._nodes), sep="\n\n")
            await self._stop()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await asyncio.gather(*(node.stop() for node in self._nodes))
        if self._etcd is not None:
            await self._etcd.stop(_STOP)
        erase(self._etcd_place.data_dir)

    def _start_etcd(self) -> None:
        client, peer = self._etcd_urls
        self._etcd = Child.spawn(
            [
                *(shutil.which("etcd") or "", "--data-dir", str(self._etcd_place.home / "etcd")),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
            ],
            place=self._etcd_place,
            log=self._etcd_place.home / "etcd.log",
            death_signal=signal.SIGTERM,
        )

    async def _make_database(self) -> None:
        leader = (await self.leader()).port
        url = f"postgresql://postgres@{HOST}:{leader}/postgres?sslmode=disable"
        conn: Connection = await asyncpg.connect(url)
        try:
            await conn.execute(f"create role {OWNER} login")
            await conn.execute(f"create database {OWNER} owner {OWNER}")
        finally:
            await conn.close()
        await make_role(url)

    async def whole(self) -> None:
        """Wait until there are a leader, a synchronous standby and a third that follows."""

        async def whole() -> bool:
            members = await self._members()
            running = [m for m in members if m["state"] in ("running", "streaming")]
            roles = {m["role"] for m in running}
            return len(running) == len(self._nodes) and {"leader", "sync_standby"} <= roles

        await eventually(whole, seconds=120, every=0.5)

    async def leader(self) -> Node:
        """The node that leads; there must be one."""

        async def found() -> Node | None:
            names = [m["name"] for m in await self._members() if m["role"] == "leader"]
            return next((node for node in self._nodes if node.name in names), None)

        node: Node = await eventually(found, seconds=60, every=0.2)
        return node

    async def switch_over(self) -> None:
        """Ask the leader to hand over to the synchronous standby, until it says that it did.

        Patroni names another standby while one catches up, so the one that was there a moment ago
        may be none now.
        """

        async def handed_over() -> bool:
            members = await self._members()
            names = {m["role"]: m["name"] for m in members}
            if not {"leader", "sync_standby"} <= set(names):
                return False
            leader = next(node for node in self._nodes if node.name == names["leader"])
            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"http://{HOST}:{leader.rest_port}/switchover",
                    json={"leader": leader.name, "candidate": names["sync_standby"]},
                ) as answer,
            ):
                return answer.status == 200

        await eventually(handed_over, seconds=120, every=0.5)

    async def _members(self) -> list[dict[str, Any]]:
        """What some node knows of all."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for node in self._nodes:
                url = f"http://{HOST}:{node.rest_port}/cluster"
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(url) as answer:
                        members: list[dict[str, Any]] = (await answer.json())["members"]
                        return members
        return []
