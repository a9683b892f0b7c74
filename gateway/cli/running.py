"""``smm-gateway serve``, ``demo`` and ``sandbox``: the commands that stay."""

import argparse
import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from gateway.app import Gateway
from gateway.cli import demo
from gateway.cli.session import (
    addresses_of,
    common_flags,
    settings_of,
    with_pepper,
)
from gateway.config import Settings, data_dir_of, require_pepper
from gateway.database import migrate_database
from gateway.embedded import Addresses, EmbeddedEngines
from gateway.errors import UserError
from gateway.log import configure_logging
from providers.sandbox import SandboxAddress, SandboxSettings, run_sandbox
from providers.sandbox.journal import JournalInUse
from schemas.config import Role


def add_commands(commands: Any) -> None:
    """Add the three commands to the command line."""
    flags = common_flags()
    shown = commands.add_parser("demo", parents=[flags], help="everything on this machine, to try")
    shown.add_argument("--port", type=int, help="of the API (8800)")
    shown.add_argument("--ready-file", type=Path, help="written as JSON once all is up")
    shown.set_defaults(run=_demo)
    served = commands.add_parser("serve", parents=[flags], help="the API and the workers")
    served.add_argument("--port", type=int, help="of the API (8800)")
    served.add_argument(
        "--role",
        type=Role,
        choices=list(Role),
        default=Role.ALL,
        metavar="ROLE",
        help="web answers resellers, worker asks upstreams, all does both (all)",
    )
    served.set_defaults(run=_serve)
    sandbox = commands.add_parser(
        "sandbox", parents=[flags], help="a panel to try things on, also its faults"
    )
    sandbox.add_argument("--port", type=int, default=8900)
    sandbox.add_argument("--seconds", type=float, default=120, help="that an order takes (120)")
    sandbox.set_defaults(run=_sandbox)


def _settings(arguments: argparse.Namespace) -> Settings:
    http = {} if arguments.port is None else {"http": {"port": arguments.port}}
    settings = settings_of(arguments, **http)
    configure_logging(settings.log.level, settings.log.format)
    return settings


def run_until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """Run until the work ends, or SIGTERM or Ctrl-C cancels it, which is an orderly end."""

    async def run() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def _demo(arguments: argparse.Namespace) -> int:
    demo.forget_ready_file(arguments.ready_file)
    settings = _settings(arguments)
    return run_until_stopped(demo.run(settings, data_dir_of(settings), arguments.ready_file))


def _serve(arguments: argparse.Namespace) -> int:
    settings = with_pepper(_settings(arguments))
    require_pepper(settings)

    async def serve() -> int:
        async with engines(settings) as (addresses, failed):
            if settings.database.url is None:
                # Nobody else looks after these engines' database. Commands on the same data
                # directory reach it already, and say so while it lacks migrations.
                await migrate_database(settings, addresses.database_url)
            gateway = Gateway(settings, addresses.database_url, addresses.redis_url, arguments.role)
            async with gateway:
                _spare_the_collector()
                print(f"API: {gateway.api_url or 'none in this role'}", flush=True)
                raise UserError(await failed)

    return run_until_stopped(serve())


def _spare_the_collector() -> None:
    """What is there after the start stays: the garbage collector need not look at it again.

    It also looks at the rest more rarely, since a group of orders alone is thousands of objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@asynccontextmanager
async def engines(settings: Settings) -> AsyncIterator[tuple[Addresses, asyncio.Future[str]]]:
    """The configured servers, or embedded ones that run as long as the block.

    The future says why, when an embedded engine dies.
    """
    if settings.database.url is not None:
        yield addresses_of(settings), asyncio.get_running_loop().create_future()
        return
    own = EmbeddedEngines(data_dir_of(settings), settings.backup.archive_dir)
    async with own as addresses:
        watch = asyncio.ensure_future(own.wait_failed())
        try:
            yield addresses, watch
        finally:
            watch.cancel()


def _sandbox(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    panel = SandboxSettings(
        data_dir=data_dir_of(settings) / "sandbox",
        port=arguments.port,
        seconds=arguments.seconds or None,
    )

    def announce(address: SandboxAddress) -> None:
        print(f"sandbox panel: {address.url}\nkey: {address.key}", flush=True)

    async def stay() -> int:
        try:
            await run_sandbox(panel, announce)
        except (JournalInUse, OSError) as error:
            raise UserError(f"the sandbox panel cannot run: {error}") from None
        return 0

    return run_until_stopped(stay())
