"""Gathers the metrics of all workers, so that one address shows the whole.

What a worker counted stays after its end, because a sum that falls looks like a restart of all; its
gauges go with it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog
from prometheus_client import REGISTRY

from gateway.metrics import WORKER_UP
from gateway.metrics_page import write_metrics
from gateway.supervision.merging import Page, counts_of, merge, read_page, write_page
from gateway.supervision.worker import Worker

log = structlog.get_logger()

#: A worker that does not answer for so long is shown as it was, without its gauges.
_PATIENCE_SECONDS = 3.0


class Gathering:
    """The pages of the workers that ``living`` names, and what those before them have counted."""

    def __init__(self, living: Callable[[], Sequence[Worker]]) -> None:
        self._living = living
        self._last: dict[Worker, Page] = {}
        self._ended: Page = {}

    async def page(self) -> bytes:
        """The metrics of the supervisor and of all workers as one page."""
        living = self._living()
        fresh = dict(zip(living, await asyncio.gather(*map(_ask, living)), strict=True))
        self._bury(living)
        pages: dict[str, Page] = {"": self._ended}
        WORKER_UP.clear()
        for worker, page in fresh.items():
            if page is not None:
                self._last[worker] = counts_of(page)
            # While workers are exchanged there are two in one place.
            pages[_name(worker, pages)] = self._last.get(worker, {}) if page is None else page
            WORKER_UP.labels(str(worker.number)).set(page is not None)
        pages["supervisor"] = read_page(write_metrics(REGISTRY))
        return write_page(merge(pages)).encode()

    def _bury(self, living: Sequence[Worker]) -> None:
        for worker in self._last.keys() - set(living):
            self._ended = merge({"": self._ended, "gone": self._last.pop(worker)})


def _name(worker: Worker, taken: Mapping[str, Page]) -> str:
    name = str(worker.number)
    return f"{name}-new" if name in taken else name


async def _ask(worker: Worker) -> Page | None:
    """The page of a worker; None when it gives none in time."""
    # Whoever looks must not wait at every look for one that hangs.
    if worker.internal_address is None or worker.silent:
        return None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return read_page(await _fetch(worker.internal_address))
    except (OSError, TimeoutError, ValueError) as error:
        log.warning("worker.no_metrics", worker=worker.number, reason=type(error).__name__)
        return None


async def _fetch(address: str) -> str:
    """``/metrics`` of a listener of ours, in the oldest HTTP: the answer ends with the connection.

    Raises:
        OSError, ValueError: when there is no such answer.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(f"GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ValueError("not the metrics of a worker")
    return body.decode()
