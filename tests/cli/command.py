"""The real command in a process of its own, against a test's database."""

import asyncio
import itertools
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.architecture import ROOT


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    error: str

    @property
    def complaint(self) -> str:
        """The one line on standard error that explains exit code 2."""
        assert self.code == 2, self
        assert self.out == ""
        [line] = self.error.splitlines()
        assert line.startswith("smm-gateway: ")
        return line


class Forks:
    """A process that has imported the gateway, and forks for each command; ``async with``."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._ends: dict[int, asyncio.Future[int]] = {}

    async def __aenter__(self) -> Self:
        self._process: Process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.cli.forking"), cwd=ROOT, stdin=PIPE, stdout=PIPE
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def run(self, argv: list[str], cwd: Path, env: dict[str, str], *, files: Path) -> Done:
        """Run one command to its end; ``files`` is where its output goes."""
        number = next(self._numbers)
        out, error = files / f"{number}.out", files / f"{number}.err"
        command = {"id": number, "argv": argv, "cwd": str(cwd), "env": env}
        command |= {"in": os.devnull, "out": str(out), "err": str(error)}
        self._ends[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(60):
            code = await self._ends[number]
        return Done(code, out.read_text(), error.read_text())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._ends.pop(answer["id"]).set_result(answer["code"])


@dataclass(frozen=True, slots=True)
class Command:
    """``smm-gateway`` with the settings of one test; nothing of our own environment counts."""

    folder: Path
    settings: dict[str, str]
    forks: Forks

    async def run(self, *arguments: object, **settings: str | None) -> Done:
        """Run to the end; ``settings`` are added to the environment, or taken away by None."""
        changed = {f"SMM_{name.upper()}": value for name, value in settings.items()}
        if "SMM_DATABASE__URL" in changed:  # another database has another owner
            changed.setdefault("SMM_DATABASE__MIGRATION_URL", None)
        own = {k: v for k, v in os.environ.items() if not k.startswith("SMM_")}
        environment = {**own, **self.settings, **changed}
        return await self.forks.run(
            [str(argument) for argument in arguments],
            self.folder,
            {name: value for name, value in environment.items() if value is not None},
            files=self.folder.parent,
        )

    async def json_with_steps(self, *arguments: object) -> Any:
        """The value that a long command prints, which tells its steps on standard error."""
        done = await self.run(*arguments, "--json")
        assert done.code == 0, done
        return json.loads(done.out)

    async def json(self, *arguments: object) -> Any:
        """The value that a command prints with ``--json``; it must succeed."""
        done = await self.run(*arguments, "--json")
        assert (done.code, done.error) == (0, ""), done
        assert done.out.count("\n") == 1
        return json.loads(done.out)
