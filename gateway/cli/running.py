"""``smm-gateway serve``, ``demo`` and ``sandbox``: the commands that stay."""

import argparse
import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from gateway.app import Gateway
from gateway.app.supervised import inherited_socket, supervise, work_under_supervision
from gateway.cli import demo
from gateway.cli.session import (
    addresses_of,
    common_flags,
    keep_master_key,
    number,
    settings_of,
    with_kept_secrets,
)
from gateway.config import Settings, data_dir_of, require_master_keys, require_peppers
from gateway.database import migrate_database, require_room
from gateway.embedded import Addresses, EmbeddedEngines
from gateway.errors import UserError
from gateway.event_loop import EventLoop
from gateway.log import configure_logging
from gateway.supervision.link import Link
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
        type=_role,
        default=Role.ALL,
        metavar="ROLE",
        help="web answers resellers, worker asks upstreams, all does both (all)",
    )
    served.add_argument(
        "--workers",
        type=number,
        metavar="N",
        help="so many processes on one port; SIGHUP exchanges them one by one",
    )
    served.add_argument("--as-worker", type=_inheritance, help=argparse.SUPPRESS)
    served.set_defaults(run=_serve)
    sandbox = commands.add_parser(
        "sandbox", parents=[flags], help="a panel to try things on, also its faults"
    )
    sandbox.add_argument("--host", default="127.0.0.1", help="to listen on (127.0.0.1)")
    sandbox.add_argument("--port", type=int, default=8900)
    sandbox.add_argument("--seconds", type=float, default=120, help="that an order takes (120)")
    sandbox.set_defaults(run=_sandbox)


def _settings(arguments: argparse.Namespace) -> Settings:
    http = {} if arguments.port is None else {"http": {"port": arguments.port}}
    settings = settings_of(arguments, **http)
    configure_logging(settings.log.level, settings.log.format)
    return settings


def run_until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """Run until the work ends, or SIGTERM, SIGHUP or Ctrl-C cancels it: an orderly end."""

    async def run() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        ends = [signal.SIGTERM, signal.SIGINT]
        # A terminal that closes, unless `nohup` says that it does not matter.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            ends.append(signal.SIGHUP)
        for signal_number in ends:
            loop.add_signal_handler(signal_number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return 0

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        return runner.run(run())


def _demo(arguments: argparse.Namespace) -> int:
    demo.forget_ready_file(arguments.ready_file)
    settings = _settings(arguments)
    return run_until_stopped(demo.run(settings, data_dir_of(settings), arguments.ready_file))


def _serve(arguments: argparse.Namespace) -> int:
    settings = with_kept_secrets(_settings(arguments))
    require_peppers(settings)
    if settings.database.url is not None:
        require_master_keys(settings)
    if arguments.as_worker is not None:
        return run_until_stopped(_work(settings, arguments.role, *arguments.as_worker))

    async def serve() -> int:
        async with engines(settings) as (addresses, failed):
            ready = settings
            if settings.database.url is None:
                # Nobody else looks after these engines' database. Commands on the same data
                # directory reach it already, and say so while it lacks migrations.
                ready = keep_master_key(settings)
                await migrate_database(ready, addresses.database_url)
            if arguments.workers is not None:
                await require_room(settings, addresses.database_url, arguments.workers)
                flags = _worker_flags(arguments)
                async with supervise(ready, arguments.role, arguments.workers, flags) as those:
                    return await _stay(those.api_url, failed)
            gateway = Gateway(ready, addresses.database_url, addresses.redis_url, arguments.role)
            async with gateway:
                _spare_the_collector()
                return await _stay(gateway.api_url, failed)

    return run_until_stopped(serve())


async def _stay(api_url: str, failed: asyncio.Future[str]) -> int:
    """Say that all is up, and stay until an engine fails, which raises ``UserError``."""
    print(f"API: {api_url or 'none in this role'}", flush=True)
    raise UserError(await failed)


def _worker_flags(arguments: argparse.Namespace) -> list[str]:
    """The flags of a worker: those of its supervisor, but for what that one does itself."""
    flags = ["serve", "--role", arguments.role]
    if arguments.config is not None:
        flags += ["--config", str(arguments.config)]
    if arguments.data_dir is not None:
        flags += ["--data-dir", str(arguments.data_dir)]
    return flags


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        roles = ", ".join(Role)
        raise argparse.ArgumentTypeError(f"{text} is not one of {roles}") from None


def _inheritance(text: str) -> list[int]:
    """A worker's number, and the descriptors of its link and of the public socket, if any."""
    return [int(part) for part in text.split(",")]


async def _work(
    settings: Settings, role: Role, worker: int, link: int, public: int | None = None
) -> int:
    structlog.contextvars.bind_contextvars(worker=worker)
    # The port is the supervisor's.
    internal = settings.internal.model_copy(update={"port": 0})
    settings = settings.model_copy(update={"internal": internal})
    addresses = addresses_of(settings)
    listening = None if public is None else inherited_socket(public)
    gateway = Gateway(settings, addresses.database_url, addresses.redis_url, role, listening)
    await work_under_supervision(gateway, Link(link))
    return 0


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
        host=arguments.host,
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
