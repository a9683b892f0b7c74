"""The bundled Valkey. It keeps nothing on disk: all that lives in it may be lost."""

import asyncio
import signal
import time

import redis.asyncio
from redis.exceptions import RedisError

from gateway.embedded.binaries import Binaries
from gateway.embedded.child import Child
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.place import Place
from gateway.embedded.ports import HOST, free_port
from gateway.embedded.processes import POLL_SECONDS, stop_leftover
from gateway.embedded.state import Secrets

STOP_SIGNALS = ((signal.SIGTERM, 5.0),)
START_SECONDS = 30.0
# Somebody else took the port after we chose it.
PASSING = ("Address already in use",)
# Ours answers at once; silence is that stranger.
CONNECT_SECONDS = 2.0


class Valkey:
    """One Valkey server."""

    name = "Valkey"

    def __init__(self, place: Place, binaries: Binaries, secrets: Secrets) -> None:
        self._place = place
        self._binaries = binaries
        self._secrets = secrets
        self._log = place.home / "valkey.log"
        self._pidfile = place.home / "valkey.pid"
        self.child: Child | None = None

    async def start(self) -> str:
        """Start the server and return its URL. Raises EmbeddedError."""
        await self._stop_leftover()
        deadline = time.monotonic() + START_SECONDS
        while True:
            port = free_port()
            self.child = self._spawn(port)
            if await self._until_answering(self.child, port, deadline):
                return self._url(port)
            if time.monotonic() > deadline or not self.child.wrote_any(PASSING):
                raise EmbeddedError(f"Valkey did not start: {self.child.last_words()}")

    async def stop(self) -> None:
        if self.child:
            await self.child.stop(STOP_SIGNALS)

    def _url(self, port: int) -> str:
        return f"redis://:{self._secrets.redis}@{HOST}:{port}/0"

    async def _stop_leftover(self) -> None:
        try:
            pid = int(self._pidfile.read_text())
        except (FileNotFoundError, ValueError):
            return
        await stop_leftover(pid, str(self._place.home), STOP_SIGNALS)

    def _spawn(self, port: int) -> Child:
        # Over stdin: the password appears neither in the process list nor in one more file.
        settings = f"""
            bind {HOST}
            port {port}
            requirepass {self._secrets.redis}
            save ""
            appendonly no
            set-proc-title no
            pidfile valkey.pid
        """
        return Child.spawn(
            [str(self._binaries.valkey), "-", "--dir", str(self._place.home)],
            place=self._place,
            log=self._log,
            death_signal=signal.SIGTERM,
            stdin=settings,
        )

    async def _until_answering(self, child: Child, port: int, deadline: float) -> bool:
        """Whether the server answers; False when it has ended instead."""
        async with redis.asyncio.from_url(
            self._url(port), socket_timeout=CONNECT_SECONDS
        ) as client:
            while child.exit_code() is None:
                try:
                    await client.ping()
                except (OSError, RedisError):
                    if time.monotonic() > deadline:
                        raise EmbeddedError(
                            f"Valkey did not answer in time: see {self._log}"
                        ) from None
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    return True
        return False
