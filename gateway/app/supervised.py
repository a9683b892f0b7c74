"""The two ends of supervision: the process that supervises, and a worker under it."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from gateway.app.listening import listen, public_socket, url_of
from gateway.app.process import Gateway
from gateway.config import Settings
from gateway.supervision.gathering import Gathering
from gateway.supervision.link import Link, Report
from gateway.supervision.supervisor import Supervisor
from gateway.web.internal import internal_app
from schemas.config import Role

_REPORT_SECONDS = 1.0
#: Longer than a worker needs that answers what it has begun and writes down what it has sent.
_STOP_MARGIN_SECONDS = 90.0


class Supervised(NamedTuple):
    """Where a supervised gateway answers; no API without a web role."""

    api_url: str
    internal_url: str


@asynccontextmanager
async def supervise(
    settings: Settings, role: Role, count: int, flags: Sequence[str]
) -> AsyncIterator[Supervised]:
    """Run ``count`` workers, started with these flags, as long as the block; SIGHUP exchanges them.

    Raises:
        UserError: when an address cannot be taken, or a worker does not start.
    """
    async with AsyncExitStack() as stack:
        http, api_url, public = settings.http, "", None
        if role is not Role.WORKER:
            public = stack.enter_context(public_socket(http))
            api_url = url_of(http.host, public.getsockname()[1]) + "/api/v2"
        patience = (http.drain_ms + settings.dispatch.timeout_ms) / 1000 + _STOP_MARGIN_SECONDS
        supervisor = Supervisor(count, flags, public, patience)

        async def missing() -> list[str]:
            return supervisor.missing()

        def addresses() -> dict[int, str]:
            return {
                worker.number: worker.internal_address
                for worker in supervisor.workers
                if worker.internal_address is not None
            }

        async def page() -> bytes:
            supervisor.missing()  # which counts those that are ready
            return await metrics.page()

        metrics = Gathering(lambda: supervisor.living)
        probes = internal_app(page, missing, workers=addresses)
        internal_url = await listen(stack, probes, settings.internal, "internal.port")
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, supervisor.restart)
        # To the end it must not have its usual meaning, which is to kill.
        stack.callback(loop.add_signal_handler, signal.SIGHUP, lambda: None)
        stack.push_async_callback(supervisor.stop)
        await supervisor.start()
        yield Supervised(api_url, internal_url)


async def work_under_supervision(gateway: Gateway, link: Link) -> None:
    """Run a gateway as a worker, until it is told to stop or its supervisor is gone."""
    lost = asyncio.ensure_future(link.wait_lost())
    try:
        async with gateway:
            try:
                while not lost.done():
                    link.report(Report(await gateway.missing(), gateway.internal_url))
                    await asyncio.wait([lost], timeout=_REPORT_SECONDS)
            finally:
                link.report(Report(["stopping"], gateway.internal_url))
    finally:
        lost.cancel()


def inherited_socket(descriptor: int) -> socket.socket:
    """The public listening socket that a supervisor has passed on."""
    found = socket.socket(fileno=descriptor)
    found.setblocking(False)
    return found
