"""The bundled PostgreSQL: made once, started, stopped, and the application's role in it."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from gateway.embedded.binaries import Binaries
from gateway.embedded.child import Child
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.place import Place
from gateway.embedded.ports import HOST, free_port
from gateway.embedded.processes import (
    POLL_SECONDS,
    command_line,
    exists,
    is_running,
    stop_leftover,
)
from gateway.embedded.state import SUPERUSER, Secrets

if TYPE_CHECKING:
    from asyncpg import Connection, Record

APPLICATION = "smm"  # the name of both its role and its database
# SIGINT: roll back what is open and write a checkpoint. SIGQUIT: at once, recover at next start.
STOP_SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
INITDB_SECONDS = 120.0
# Crash recovery of a large database takes its time; the server says so and keeps running.
START_SECONDS = 300.0
RETRY_SECONDS = 0.2
RETRY_FOR_SECONDS = 20.0
# Ours answers at once, if only to say that it is not ready; silence is a stranger on our port.
CONNECT_SECONDS = 2.0
# Reasons to exit at start that pass: the port was taken after we chose it, or processes of a killed
# predecessor still hold the data directory for a moment.
PASSING = (
    "Address already in use",
    "pre-existing shared memory",
    'lock file "postmaster.pid" already exists',
)
# Data of a restore that has not ended, and of an upgrade that has, until both are the data.
RESTORING = "restoring"
UPGRADED = "pgdata.upgraded"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A transaction whose client hangs must not hold its locks forever.
    "idle_in_transaction_session_timeout": "15s",
}


def finish_upgrade(place: Place) -> None:
    """Put in place what an upgrade had completed when it was cut off between two renames."""
    if (upgraded := place.home / UPGRADED).exists():
        upgraded.rename(place.pgdata)


class Postgres:
    """One PostgreSQL server on one data directory."""

    name = "PostgreSQL"

    def __init__(
        self,
        place: Place,
        binaries: Binaries,
        secrets: Secrets,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``settings`` of the server are added to those that it always has."""
        self._place = place
        self._settings = SETTINGS | dict(settings or {})
        self._binaries = binaries
        self._secrets = secrets
        self._log = place.home / "postgres.log"
        self.child: Child | None = None

    async def start(self) -> str:
        """Start the server, on the first time make its data; return the application's URL.

        Raises EmbeddedError.
        """
        await self._stop_leftover()
        if not self._place.pgdata.exists():
            finish_upgrade(self._place)
        if not self._place.pgdata.exists():
            await self._initialise()
        self._check_version()
        connection, port = await self._start_server()
        try:
            await self._ensure_application(connection)
        finally:
            await connection.close()
        password = self._secrets.database
        # The environment (PGSSLMODE) must not ask for TLS, which this build does not have.
        address = f"{APPLICATION}:{password}@{HOST}:{port}/{APPLICATION}"
        return f"postgresql://{address}?sslmode=disable"

    async def stop(self) -> None:
        if self.child:
            await self.child.stop(STOP_SIGNALS)

    async def _stop_leftover(self) -> None:
        """End the server of a killed supervisor, on Linux already shutting down by itself."""
        lock = self._place.pgdata / "postmaster.pid"
        try:
            pid = int(lock.read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return
        argument = str(self._place.pgdata)
        await stop_leftover(pid, argument, STOP_SIGNALS)
        if is_running(pid, argument):
            raise EmbeddedError(
                f"an older PostgreSQL on {self._place.pgdata} does not stop: end process {pid}"
            )
        if exists(pid) and "postgres" not in command_line(pid):
            # A stranger has the dead server's number by now, and PostgreSQL would refuse to start
            # for his sake. We hold the claim, so the file is stale.
            lock.unlink(missing_ok=True)

    async def _initialise(self) -> None:
        if (self._place.home / RESTORING).exists():
            raise EmbeddedError(
                f"a restore into {self._place.data_dir} was cut off: delete that folder and "
                "restore again"
            )
        # Under another name first, so that an interrupted run is not taken for a database.
        draft = self._place.home / "pgdata.new"
        password = self._place.home / "initdb-password"
        shutil.rmtree(draft, ignore_errors=True)
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if self._place.user:
                os.fchown(descriptor, self._place.user.uid, self._place.user.gid)
            os.write(descriptor, self._secrets.superuser.encode())
            await self._initdb(draft, password)
        finally:
            os.close(descriptor)
            password.unlink()
        draft.rename(self._place.pgdata)

    async def _initdb(self, draft: Path, password: Path) -> None:
        command = [
            str(self._binaries.postgres / "initdb"),
            *("-D", str(draft)),
            f"--username={SUPERUSER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--data-checksums",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]
        child = self._spawn(command, signal.SIGTERM)
        try:
            code = await child.wait(INITDB_SECONDS)
        finally:
            if child.exit_code() is None:
                await child.stop(())
        if code != 0:
            raise EmbeddedError(f"PostgreSQL could not make its data: {child.last_words()}")

    def _check_version(self) -> None:
        ours = self._binaries.postgres_major
        theirs = (self._place.pgdata / "PG_VERSION").read_text().strip()
        if theirs != str(ours):
            raise EmbeddedError(
                f"the data in {self._place.pgdata} is of PostgreSQL {theirs}, the bundled one is "
                f"{ours}: take it along with `smm-gateway embedded upgrade`, or to a server of "
                "your own with `smm-gateway embedded export --to URL`"
            )

    async def _start_server(self) -> tuple["Connection[Record]", int]:
        deadline = time.monotonic() + START_SECONDS
        retry_until = time.monotonic() + RETRY_FOR_SECONDS
        while True:
            port = free_port()
            options = [f"{name}={value}" for name, value in self._settings.items()] + [
                f"port={port}"
            ]
            command = [str(self._binaries.postgres / "postgres"), "-D", str(self._place.pgdata)]
            for option in options:
                command += ["-c", option]
            self.child = self._spawn(command, signal.SIGINT)
            connection = await self._connect(self.child, port, deadline)
            if connection:
                return connection, port
            if time.monotonic() > retry_until or not self.child.wrote_any(PASSING):
                raise EmbeddedError(f"PostgreSQL did not start: {self.child.last_words()}")
            await asyncio.sleep(RETRY_SECONDS)

    async def _connect(
        self, child: Child, port: int, deadline: float
    ) -> "Connection[Record] | None":
        """Connect as soon as the server lets us; None when it has ended instead."""
        while child.exit_code() is None:
            try:
                return await asyncpg.connect(
                    host=HOST,
                    port=port,
                    user=SUPERUSER,
                    password=self._secrets.superuser,
                    database=SUPERUSER,
                    ssl=False,
                    timeout=CONNECT_SECONDS,
                )
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
                pass
            except asyncpg.InvalidPasswordError as error:
                raise EmbeddedError(
                    f"the passwords in {self._place.data_dir} are not those of the data in "
                    f"{self._place.home}: restore both from the same backup"
                ) from error
            if time.monotonic() > deadline:
                raise EmbeddedError(f"PostgreSQL did not answer in time: see {self._log}")
            await asyncio.sleep(POLL_SECONDS)
        return None

    async def _ensure_application(self, connection: "Connection[Record]") -> None:
        """Make what is missing, since a first start may have been cut off half-way."""
        role = "SELECT 1 FROM pg_roles WHERE rolname = $1"
        if not await connection.fetchval(role, APPLICATION):
            # CREATE ROLE takes no parameters.
            statement = await connection.fetchval(
                "SELECT format('CREATE ROLE %I LOGIN CREATEDB PASSWORD %L', $1::text, $2::text)",
                APPLICATION,
                self._secrets.database,
            )
            await connection.execute(statement)
        database = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(database, APPLICATION):
            await connection.execute(f"CREATE DATABASE {APPLICATION} OWNER {APPLICATION}")

    def _spawn(self, command: list[str], death_signal: signal.Signals) -> Child:
        return Child.spawn(command, place=self._place, log=self._log, death_signal=death_signal)
