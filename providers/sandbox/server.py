"""Starting and stopping a sandbox: its directory, its books from the journals, its address."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from providers.sandbox.book import Book
from providers.sandbox.control import Control
from providers.sandbox.front import PATH, Front
from providers.sandbox.journal import DurableJournal, FlushedJournal, read_records
from providers.sandbox.orders import order_from
from providers.sandbox.panel import Conduct, Panel, clock
from providers.sandbox.settings import SandboxAddress, SandboxSettings, kept_key

ACCEPTED = "accepted.jsonl"
EVENTS = "events.jsonl"
RECEIVED = "received.jsonl"

_SHUTDOWN_SECONDS = 2.0


async def run_sandbox(
    settings: SandboxSettings, on_ready: Callable[[SandboxAddress], None]
) -> None:
    """Be a panel until cancelled; ``on_ready`` is told the address once it answers.

    Raises:
        JournalInUse: when another sandbox runs in the same directory.
        OSError: when the directory or the port cannot be used.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with _front(settings) as front:
        app = web.Application()
        front.add_routes(app)
        Control(front).add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
            await site.start()
            on_ready(_address(settings, runner))
            await asyncio.Event().wait()
        finally:
            front.closing.set()
            await runner.cleanup()


@asynccontextmanager
async def _front(settings: SandboxSettings) -> AsyncIterator[Front]:
    accepted = DurableJournal(settings.data_dir / ACCEPTED)
    events = DurableJournal(settings.data_dir / EVENTS)
    received = FlushedJournal(settings.data_dir / RECEIVED)
    try:
        panel = Panel(
            _key(settings),
            _replayed(settings.data_dir),
            Conduct(settings.latency_before_ms, settings.latency_after_ms),
            accepted,
            events,
        )
        await _open(panel, settings)
        yield Front(panel, received)
    finally:
        await accepted.close()
        await events.close()
        received.close()


def _replayed(data_dir: Path) -> Book:
    book = Book()
    for record in read_records(data_dir / ACCEPTED):
        book.enter(order_from(record))
    for event in read_records(data_dir / EVENTS):
        book.apply(event)
    return book


async def _open(panel: Panel, settings: SandboxSettings) -> None:
    """Give a new book its balance, and the book the pace of this start."""
    book = panel.book
    if book.untouched:
        await panel.record(book.balance_event(settings.balance, clock()))
    if book.pace.seconds != settings.seconds:
        at = book.moment(clock())
        await panel.record({"event": "pace", "at": at, "seconds": settings.seconds})


def _key(settings: SandboxSettings) -> str:
    return settings.api_key or kept_key(settings.data_dir)


def _address(settings: SandboxSettings, runner: web.AppRunner) -> SandboxAddress:
    host, port = runner.addresses[0][:2]
    return SandboxAddress(url=f"http://{host}:{port}{PATH}", key=_key(settings))
