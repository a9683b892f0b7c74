"""What one process holds in memory while it takes a million orders."""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.cases import add
from tests.bench.load import Measurement
from tests.bench.processor import resident_bytes
from tests.bench.stage import FUNDS, database, gateway, load, panel
from tests.world import World

_MOST_MIB = 150.0
#: Growth that is still called flat, from a fifth of the orders to all of them.
_MOST_GROWTH = 1.10
_MIB = 1024 * 1024
_VARIETY = 20_000
_SLICE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Size:
    """The process after so many orders."""

    orders: int
    mib: float


def _judge(sizes: list[Size]) -> tuple[bool, Size]:
    """Whether the last size is small enough and has not grown, and where flatness is counted from.

    The first fifth fills caches, free lists and the collector's generations.
    """
    last = sizes[-1]
    early = next(s for s in sizes if s.orders >= last.orders / 5)
    return last.mib <= _MOST_MIB and last.mib <= early.mib * _MOST_GROWTH, early


async def run(flags: argparse.Namespace, folder: Path) -> tuple[bool, dict[str, Any], str]:
    """Place the orders: whether all is well, the report, and its text."""
    sizes: list[Size] = []
    async with (
        database(folder) as (engines, pool),
        load(folder) as clients,
        panel(folder, latency=0.02) as (url, _),
    ):
        world = World(pool)
        record = await world.provider(url, adds_per_minute=6_000, in_flight=10)
        service = await world.service(record)
        buyers = [await world.reseller(f"buyer-{n}", funds=FUNDS) for n in range(200)]
        bodies = [add(buyers[n % len(buyers)], service, n) for n in range(_VARIETY)]
        async with gateway(engines, folder) as server:
            [pid] = server.roots
            placed = 0
            sizes.append(Size(0, resident_bytes(pid) / _MIB))
            while placed < flags.orders:
                some = Measurement(server.port, bodies, '{"order":', "}", 200, 0, _SLICE_SECONDS)
                placed += (await clients.measure(some)).total
                sizes.append(Size(placed, resident_bytes(pid) / _MIB))
                print(f"{placed:,} orders, {sizes[-1].mib:.1f} MiB", file=sys.stderr)
    well, early = _judge(sizes)
    last = sizes[-1]
    text = (
        f"at the start {sizes[0].mib:.1f} MiB, after {early.orders:,} orders {early.mib:.1f}, "
        f"after {last.orders:,} {last.mib:.1f} (at most {_MOST_MIB:.0f}, and "
        f"{_MOST_GROWTH:.2f} times the former: {'ok' if well else 'MISSED'})"
    )
    return well, {"sizes": [asdict(size) for size in sizes]}, text


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this suite."""
    parser.add_argument("--orders", type=int, default=1_000_000)
