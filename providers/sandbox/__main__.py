"""``python -m providers.sandbox``: a sandbox panel until SIGTERM or SIGINT."""

import argparse
import asyncio
import contextlib
import json
import signal
from collections.abc import Callable
from pathlib import Path

from providers.sandbox import SandboxAddress, SandboxSettings, run_sandbox
from schemas.money import parse_amount


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m providers.sandbox", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="logs and key; made if new")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seconds", type=float, default=120.0, help="per order; 0 stops them all")
    parser.add_argument("--balance", type=parse_amount, default="1000", help="of a new account")
    parser.add_argument("--latency-before", type=int, default=0, metavar="MS")
    parser.add_argument("--latency-after", type=int, default=0, metavar="MS")
    parser.add_argument("--ready-file", type=Path, help="written as JSON once the panel answers")
    return parser.parse_args()


def _announcer(ready_file: Path | None) -> Callable[[SandboxAddress], None]:
    def announce(address: SandboxAddress) -> None:
        print(f"sandbox panel at {address.url}", flush=True)
        if ready_file is not None:
            # Renamed into place, so that a reader never sees half of it.
            draft = ready_file.with_suffix(".part")
            draft.touch(0o600)
            draft.write_text(json.dumps({"url": address.url, "key": address.key}))
            draft.rename(ready_file)

    return announce


async def _run(arguments: argparse.Namespace) -> None:
    settings = SandboxSettings(
        data_dir=arguments.data_dir,
        host=arguments.host,
        port=arguments.port,
        seconds=arguments.seconds or None,
        balance=arguments.balance,
        latency_before_ms=arguments.latency_before,
        latency_after_ms=arguments.latency_after,
    )
    panel = asyncio.create_task(run_sandbox(settings, _announcer(arguments.ready_file)))
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    stop = asyncio.create_task(told.wait())
    await asyncio.wait([panel, stop], return_when=asyncio.FIRST_COMPLETED)
    # Once, however many signals come: a second cancellation would cut the shutdown short.
    stop.cancel()
    panel.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await panel


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
