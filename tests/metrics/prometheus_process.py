"""A real Prometheus in a child process, with rules and targets as a test wants them."""

import asyncio
import ctypes
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from gateway.embedded.ports import free_port
from tests.metrics.shipped import PROMETHEUS

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 60


def _die_with_parent() -> None:
    """Runs in the child: a killed test run leaves no Prometheus behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class QueryFailed(Exception):
    """Prometheus could not answer a query; the message is its own."""


class PrometheusProcess:
    """The shipped configuration, looking each second, with these targets.

    ``rules`` are files of rules by name, in place of the shipped ones. ``async with`` starts and
    stops it.
    """

    def __init__(
        self, folder: Path, targets: Sequence[str], rules: Mapping[str, Any] | None = None
    ) -> None:
        self._folder = folder
        self._targets = targets
        self._rules = rules or {}
        self._url = f"http://127.0.0.1:{free_port()}"
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._configure()
        self._session = aiohttp.ClientSession()
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus",
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        async with asyncio.timeout(_START_SECONDS):
            while not await self._ready():
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def query(self, expression: str) -> list[Any]:
        """What an expression comes to now, one item for each series.

        Raises:
            QueryFailed: when it cannot be answered.
        """
        address = f"{self._url}/api/v1/query"
        async with self._session.post(address, data={"query": expression}) as answer:
            found = await answer.json()
        if found["status"] != "success" or found.get("warnings"):
            raise QueryFailed(f"{expression}: {found.get('error') or found['warnings']}")
        result: list[Any] = found["data"]["result"]
        return result

    async def firing(self) -> dict[str, str]:
        """The alerts that fire now, each with its summary."""
        async with self._session.get(f"{self._url}/api/v1/alerts") as answer:
            alerts = (await answer.json())["data"]["alerts"]
        return {
            alert["labels"]["alertname"]: alert["annotations"]["summary"]
            for alert in alerts
            if alert["state"] == "firing"
        }

    def _configure(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        shipped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(shipped))
        targets = [{"targets": [*self._targets]}]
        (self._folder / "targets.yml").write_text(yaml.safe_dump(targets))
        for name in shipped["rule_files"]:
            text = (PROMETHEUS / name).read_text(encoding="utf-8")
            rules = yaml.safe_dump(self._rules[name]) if name in self._rules else text
            (self._folder / name).write_text(rules)

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise RuntimeError((self._folder / "prometheus.log").read_text()[-2000:])
        try:
            async with self._session.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False
