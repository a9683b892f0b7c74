"""What metrics cost: ``add`` with and without them, and the page of a large gateway."""

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from gateway.embedded.ports import free_port
from gateway.store.connection import Pool
from tests.bench.cases import ADD, all_cases
from tests.bench.comparing import Sample, outcome_of, table
from tests.bench.requests import Bench
from tests.bench.stage import Stage, gateway, stage
from tests.world import World

#: With metrics there is at least so much of the throughput without.
_LEAST = 0.90
_PROVIDERS, _RESELLERS = 50, 5_000
_MOST_BYTES, _MOST_SECONDS = 1_000_000, 0.100
_SCRAPES = 20
_OFF, _ON = "without metrics", "with metrics"


@dataclass(frozen=True, slots=True)
class PageCost:
    """The page of ``/metrics``: its size, and the median of the seconds that it takes."""

    bytes: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it is small and quick enough."""
        return self.bytes < _MOST_BYTES and self.seconds < _MOST_SECONDS


async def _grow(pool: Pool, there: Stage) -> None:
    """As many accounts and resellers as a large gateway has; its services are there."""
    world = World(pool)
    for number in range(_PROVIDERS - 1):
        # Nobody listens there: all that can be said of an account is shown.
        await world.provider("http://127.0.0.1:9/api/v2", name=f"provider-{number}")
    missing = _RESELLERS - len(there.filled.resellers)
    for number in range(missing):
        await world.reseller(f"more-{number}", funds="0")


async def _page(port: int) -> PageCost:
    url, took, page = f"http://127.0.0.1:{port}/metrics", [], b""
    async with aiohttp.ClientSession() as session:
        for _ in range(_SCRAPES):
            began = time.perf_counter()
            async with session.get(url) as answer:
                page = await answer.read()
            took.append(time.perf_counter() - began)
    return PageCost(len(page), median(took))


async def run(flags: argparse.Namespace, folder: Path) -> tuple[bool, dict[str, Any], str]:
    """Measure: whether all is well, the report, and its text."""
    samples: dict[str, list[Sample]] = {_OFF: [], _ON: []}
    port = free_port()
    async with stage(folder) as there:
        await _grow(there.pool, there)
        case = next(
            c
            for c in all_cases(there.filled.resellers, there.filled.service, range(1, 101))
            if c.name == ADD
        )
        bench = Bench(there, flags)
        async with (
            gateway(there.engines, folder, "on", SMM_INTERNAL__PORT=str(port)) as on,
            gateway(there.engines, folder, "off", module="tests.bench.unmeasured") as off,
        ):
            sides = {_OFF: off, _ON: on}
            for server in sides.values():
                await bench.sample(case, server, seconds=flags.seconds)  # warm
            for number in range(flags.rounds):
                print(f"round {number + 1} of {flags.rounds}", file=sys.stderr)
                for side in sorted(sides, reverse=bool(number % 2)):
                    sample = await bench.sample(case, sides[side], seconds=flags.seconds)
                    samples[side].append(sample)
            page = await _page(port)
    outcome = outcome_of("add, with / without metrics", _LEAST, samples[_OFF], samples[_ON])
    text = (
        f"{table([outcome])}\n\n/metrics with {_PROVIDERS} providers, {_RESELLERS:,} resellers: "
        f"{page.bytes:,} bytes in {page.seconds * 1000:.0f} ms (below {_MOST_BYTES:,} in "
        f"{_MOST_SECONDS * 1000:.0f}: {'ok' if page.ok else 'MISSED'})"
    )
    return outcome.ok and page.ok, {"add": asdict(outcome), "page": asdict(page)}, text


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this suite."""
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument("--connections", type=int, default=200)
