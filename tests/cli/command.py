"""The real command in a process of its own, against a test's database."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Command:
    """``smm-gateway`` with the settings of one test; nothing of our own environment counts."""

    folder: Path
    settings: dict[str, str]

    async def run(self, *arguments: object, **settings: str | None) -> Done:
        """Run to the end; ``settings`` are added to the environment, or taken away by None."""
        changed = {f"SMM_{name.upper()}": value for name, value in settings.items()}
        own = {k: v for k, v in os.environ.items() if not k.startswith("SMM_")}
        environment = {**own, "PYTHONPATH": str(ROOT), **self.settings, **changed}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gateway", *map(str, arguments)),
            cwd=self.folder,
            env={k: v for k, v in environment.items() if v is not None},
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(60):
                out, error = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), error.decode())

    async def json(self, *arguments: object) -> Any:
        """The value that a command prints with ``--json``; it must succeed."""
        done = await self.run(*arguments, "--json")
        assert (done.code, done.error) == (0, ""), done
        assert done.out.count("\n") == 1
        return json.loads(done.out)
