"""The demo as a newcomer runs it: started, tried, stopped, killed, and started again."""

import asyncio
import json
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded import erase
from tests.conftest import eventually
from tests.panel_client import PanelClient
from tests.web.ops.client import OperatorClient


class Demo:
    """One ``smm-gateway demo`` after another on one data directory."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self._ready = folder / "ready.json"
        self._log = folder / "demo.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, Any]:
        """Start it and return what its ready file says."""
        self._ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "gateway", "demo", "--port", "0"]
        command += ["--data-dir", str(self.data_dir), "--ready-file", str(self._ready)]
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

        async def ready() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self._log.read_text()
            return self._ready.exists()

        await eventually(ready, seconds=60)
        found: dict[str, Any] = json.loads(self._ready.read_text())
        return found

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 60)

    def welcome_link(self) -> str:
        """The link to the console that the last start has printed; empty where it printed none."""
        last = self._log.read_text().rpartition("smm-gateway is running")[2]
        found = re.search(r"http\S+/ops/welcome/\S+", last)
        return found[0] if found else ""

    def mode(self, name: str) -> str:
        """The rights of a file in the data directory."""
        return stat.filemode((self.data_dir / name).stat().st_mode)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    running = Demo(tmp_path)
    yield running
    if running.process is not None and running.process.returncode is None:
        await running.end(signal.SIGKILL)
    await eventually(lambda: nothing_left(tmp_path))
    erase(running.data_dir)


async def nothing_left(folder: Path) -> bool:
    """Whether no process has the folder, or the engines' home that it points at, in its command."""
    pointer = folder / "data" / "engines-home"
    homes = [str(folder), *([pointer.read_text().strip()] if pointer.exists() else [])]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if any(home in command for home in homes):
            return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_second_start_finds_the_key_and_the_orders_of_the_first(
    demo: Demo, tmp_path: Path, number: signal.Signals
) -> None:
    first = await demo.start()
    assert first["pid"] == demo.process.pid if demo.process else False
    async with PanelClient(first["api_url"], first["api_key"]) as client:
        service = next(s for s in await client.call("services") if s["type"] == "Default")
        order = await client.add(service["service"], int(service["min"]))
        balance = await client.call("balance")
    code = await demo.end(number)
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    await eventually(lambda: nothing_left(tmp_path))

    second = await demo.start()
    assert second["api_key"] == first["api_key"]
    async with PanelClient(second["api_url"], second["api_key"]) as client:
        assert "status" in await client.call("status", order=order)
        assert await client.call("balance") == balance
    assert await demo.end(signal.SIGTERM) == 0


async def test_the_console_is_there_with_a_link_until_its_operator_has_a_password(
    demo: Demo,
) -> None:
    ready = await demo.start()
    url = ready["console_url"].removesuffix("/ops")
    async with OperatorClient(url) as client:
        assert (await client.accept(demo.welcome_link(), "a few words in a row")).location == "/ops"
        assert (await client.get("/ops")).status == 200
    await demo.end(signal.SIGTERM)
    await demo.start()
    assert demo.welcome_link() == ""
    await demo.end(signal.SIGTERM)


async def test_secrets_are_readable_by_their_owner_alone(demo: Demo) -> None:
    await demo.start()
    for name in ("pepper", "master_keys", "demo_api_key", "secrets.json"):
        assert demo.mode(name) == "-rw-------"
    await demo.end(signal.SIGTERM)
