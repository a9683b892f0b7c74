"""Runs commands as children of a process that has imported all: ``python -m tests.cli.forking``.

Starting Python and importing the gateway takes longer than most commands. It reads one command a
line from standard input and answers each with one line when it has ended, both JSON.
"""

import contextlib
import json
import os
import selectors
import sys
import traceback
from typing import Any

from gateway.cli import main

_LOOK_SECONDS = 0.005


def run(command: dict[str, Any]) -> int:
    """The child's whole life; returns its exit code."""
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["env"])
    for name, number in (("in", 0), ("out", 1), ("err", 2)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(command[name], flags, 0o600), number)
    try:
        return main(command["argv"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as Python itself does at its end
        traceback.print_exc()
        return 1
    finally:
        with contextlib.suppress(BrokenPipeError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(BrokenPipeError, ValueError):
            sys.stderr.flush()


def serve() -> None:
    """Fork for each line until standard input ends."""
    children: dict[int, int] = {}
    lines = selectors.DefaultSelector()
    lines.register(0, selectors.EVENT_READ)
    waiting = b""
    while True:
        if lines.select(_LOOK_SECONDS if children else None):
            read = os.read(0, 65536)
            if not read:
                return
            *complete, waiting = (waiting + read).split(b"\n")
            for line in complete:
                command = json.loads(line)
                child = os.fork()
                if child == 0:
                    os._exit(run(command))
                children[child] = command["id"]
        while children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                break
            answer = {"id": children.pop(child), "code": os.waitstatus_to_exitcode(status)}
            os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    serve()
