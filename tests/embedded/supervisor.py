"""A process that runs engines until its stdin closes: `python -m tests.embedded.supervisor DIR`.

Prints `ready`, or the one-line reason why it cannot.
"""

import asyncio
import sys
from pathlib import Path

from gateway.embedded import EmbeddedEngines, EmbeddedError


async def main() -> None:
    try:
        async with EmbeddedEngines(Path(sys.argv[1])):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    except EmbeddedError as error:
        print(f"{type(error).__name__}: {error}", flush=True)


asyncio.run(main())
