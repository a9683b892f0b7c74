"""What a process shows of itself: its version, connections, disk, and event loop."""

import asyncio
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.metrics import EVENT_LOOP_LAG
from gateway.store.connection import Pool

_LAG_SECONDS = 0.25


class ProcessState(Collector):
    """Read at a scrape: nothing is kept up to date for it."""

    def __init__(self) -> None:
        self._pools: set[Pool] = set()
        self._data_dir: Path | None = None
        self._build = [version("smm-gateway"), platform.python_version()]

    def show(self, pool: Pool, data_dir: Path) -> None:
        """Show a pool until it is hidden, and the disk that a data directory lies on."""
        self._pools.add(pool)
        self._data_dir = data_dir

    def hide(self, pool: Pool) -> None:
        """Show a pool no more: it is closed."""
        self._pools.discard(pool)

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        build = GaugeMetricFamily(
            "smm_build_info", "The version that runs, always 1", labels=["version", "python"]
        )
        build.add_metric(self._build, 1)
        yield build
        yield from self._connections()
        yield from self._disk()

    def _connections(self) -> Iterator[Metric]:
        idle = sum(pool.get_idle_size() for pool in self._pools)
        found = GaugeMetricFamily(
            "smm_database_connections", "Connections of the process's pool", labels=["state"]
        )
        found.add_metric(["idle"], idle)
        found.add_metric(["busy"], sum(pool.get_size() for pool in self._pools) - idle)
        yield found
        yield GaugeMetricFamily(
            "smm_database_connections_limit",
            "How many it may have",
            sum(pool.get_max_size() for pool in self._pools),
        )

    def _disk(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("smm_disk_free_bytes", "Left where the data directory lies")
        size = GaugeMetricFamily("smm_disk_size_bytes", "Of the disk where it lies")
        if self._data_dir is not None:
            # The folder is made when something is first written there.
            folders = (self._data_dir, *self._data_dir.absolute().parents)
            with suppress(OSError):
                usage = shutil.disk_usage(next(folder for folder in folders if folder.exists()))
                free.add_metric([], usage.free)
                size.add_metric([], usage.total)
        yield from (free, size)


@contextmanager
def shown(pool: Pool, data_dir: Path) -> Iterator[None]:
    """Show this process's pool, disk and event loop as long as the block."""
    PROCESS_STATE.show(pool, data_dir)
    watch = asyncio.ensure_future(_watch_event_loop())
    try:
        yield
    finally:
        watch.cancel()
        PROCESS_STATE.hide(pool)


async def _watch_event_loop() -> None:
    while True:
        due = time.perf_counter() + _LAG_SECONDS
        await asyncio.sleep(_LAG_SECONDS)
        EVENT_LOOP_LAG.observe(max(0.0, time.perf_counter() - due))


PROCESS_STATE = ProcessState()
REGISTRY.register(PROCESS_STATE)
