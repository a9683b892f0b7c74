"""A PostgreSQL that speaks TLS: the system's, because the bundled one is built without OpenSSL."""

import asyncio
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self

import asyncpg
import pytest

from gateway.embedded import erase
from gateway.embedded.binaries import DEBIAN_POSTGRES
from gateway.embedded.child import Child
from gateway.embedded.place import prepare
from gateway.embedded.ports import HOST, free_port
from tests.conftest import eventually

_HOSTS_ONLY_TLS = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n"


def need_tls() -> Path:
    """The programs of the system's PostgreSQL, or a loud skip."""
    found = sorted(DEBIAN_POSTGRES.glob("*/bin/postgres"))
    if not found or shutil.which("openssl") is None:
        pytest.skip(
            "SKIPPED, NOT TESTED: no PostgreSQL with OpenSSL here (apt-get install postgresql)"
        )
    return found[-1].parent


async def make_authority(folder: Path, name: str) -> Path:
    """A certificate authority of that name; its certificate."""
    certificate = folder / f"{name}.crt"
    await _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
        *("-keyout", folder / f"{name}.key", "-out", certificate),
    )
    return certificate


async def _openssl(*arguments: object) -> None:
    process = await asyncio.create_subprocess_exec(
        "openssl",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


class TlsServer:
    """Takes TLS connections alone; its certificate is for ``localhost``, by ``authority``."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self._programs = need_tls()
        self._folder = folder
        self._authority = authority
        self._place = prepare(folder / "data")
        self.port = free_port()
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        data = self._place.pgdata
        log = self._place.home / "log"
        made = Child.spawn(
            [str(self._programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"],
            place=self._place,
            log=log,
            death_signal=signal.SIGKILL,
        )
        assert await made.wait(60) == 0, made.last_words()
        await self._certify(data)
        (data / "pg_hba.conf").write_text(_HOSTS_ONLY_TLS)
        settings = {"listen_addresses": HOST, "port": str(self.port), "ssl": "on"}
        command = [str(self._programs / "postgres"), "-D", str(data)]
        for name, value in (settings | {"unix_socket_directories": ""}).items():
            command += ["-c", f"{name}={value}"]
        self._child = Child.spawn(command, place=self._place, log=log, death_signal=signal.SIGQUIT)
        await eventually(self._answers)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._child is not None
        await self._child.stop([(signal.SIGINT, 10)])
        erase(self._folder / "data")

    def url(self, host: str = "localhost", **parameters: object) -> str:
        """The superuser's, with these parameters."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@{host}:{self.port}/postgres?{query}"

    async def _certify(self, data: Path) -> None:
        request, signed = self._folder / "server.csr", data / "server.crt"
        key = data / "server.key"
        extension = self._folder / "names"
        extension.write_text("subjectAltName=DNS:localhost\n")
        await _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-keyout", key, "-out", request),
        )
        await _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-out", signed, "-extfile", extension),
            *("-CA", self._authority, "-CAkey", self._authority.with_suffix(".key")),
            "-CAcreateserial",
        )
        key.chmod(0o600)
        if user := self._place.user:
            for path in (key, signed):
                shutil.chown(path, user.uid, user.gid)

    async def _answers(self) -> bool:
        assert self._child is not None
        assert self._child.exit_code() is None, self._child.last_words()
        with suppress(OSError, asyncpg.PostgresError):
            await (await asyncpg.connect(self.url(sslmode="require"))).close()
            return True
        return False
