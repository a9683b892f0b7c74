"""Whether an order costs the same beside millions of finished ones as beside none.

One database for each number of finished orders, all on one server and measured in interleaved
rounds: placing, asking for states, and sending with an upstream that answers at once.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from gateway.embedded import Addresses
from gateway.money.audit import audit
from gateway.money.watching import watch
from gateway.orders.dispatch import Sender
from gateway.spool import Spool
from gateway.store.connection import Pool, open_pool
from gateway.store.migrate import migrate
from providers.panel_v2 import PanelV2
from schemas.config import DispatchSettings
from schemas.providers import ProviderRecord
from schemas.upstream import Exchange, Placed, Submission
from tests.bench.cases import Case, add, call
from tests.bench.load import Measurement
from tests.bench.stage import FUNDS, Load, Server, database, gateway, load
from tests.finished import fill_finished
from tests.world import Customer, World

#: What an order may cost beside finished ones, by what it costs beside none.
_MOST = 1.2
_RESELLERS = 50
#: Every side has so many on top, or there would be no states to ask for beside none.
_SOME = 5_000
_SENT = 500


_EXCHANGE = Exchange(sent=True, elapsed_ms=0, status=200, body='{"order":1}')


class _AtOnce(PanelV2):
    """An upstream that takes every order and costs nothing."""

    def __init__(self) -> None:
        self._number = 0

    async def add(self, order: Submission) -> Placed:
        """The next id."""
        self._number += 1
        return Placed(f"n{self._number}", _EXCHANGE)


@dataclass(frozen=True, slots=True)
class _Side:
    """One database with so many finished orders, and a gateway on it."""

    finished: int
    pool: Pool
    server: Server
    resellers: Sequence[Customer]
    provider: ProviderRecord
    service: int
    fill_seconds: float
    upstream: _AtOnce
    spool: Spool

    def cases(self) -> list[Case]:
        """The calls; states are asked of orders from all times."""
        chosen = random.Random(1)
        ids = chosen.sample(range(1, self.finished + _SOME + 1), _SOME)
        by_owner: dict[int, list[int]] = {}
        for order_id in ids:
            by_owner.setdefault(order_id % _RESELLERS, []).append(order_id)
        singles = [
            call(self.resellers[order_id % _RESELLERS], "status", order=order_id)
            for order_id in ids
        ]
        hundreds = [
            call(
                self.resellers[owner],
                "status",
                orders=",".join(map(str, chosen.sample(owned, 100))),
            )
            for owner, owned in by_owner.items()
            if len(owned) >= 100
            for _ in range(20)
        ]
        adds = [add(chosen.choice(self.resellers), self.service, number) for number in range(_SOME)]
        states = ('{"charge":"', '"currency":"USD"}')
        return [
            Case("add", 0, adds, '{"order":', "}"),
            Case("status", 0, singles, *states),
            Case("status of 100", 0, hundreds, '{"', '"currency":"USD"}}'),
        ]

    async def send(self) -> float:
        """Claim and record some of the orders that wait; orders a second."""
        sender = Sender(self.pool, DispatchSettings(), time.monotonic, self.spool)
        began, sent = time.perf_counter(), 0
        while sent < _SENT:
            claim = await sender.claim(self.provider, 50)
            if not claim.orders:
                raise RuntimeError("too few orders wait: measure with more --seconds")
            await asyncio.gather(
                *(
                    sender.send(self.upstream, self.provider, order, claim.at)
                    for order in claim.orders
                )
            )
            sent += len(claim.orders)
        return sent / (time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class Grown:
    """A case beside so many finished orders: what it costs by what it costs beside none."""

    case: str
    finished: int
    per_second: float
    ratio: float
    ratio_least: float
    ratio_most: float
    ok: bool


async def run(flags: argparse.Namespace, folder: Path) -> tuple[bool, dict[str, Any], str]:
    """Fill, measure in rounds, audit: whether all is well, the report, and its text."""
    async with AsyncExitStack() as stack:
        engines, _ = await stack.enter_async_context(database(folder))
        clients = await stack.enter_async_context(load(folder))
        sides = [
            await stack.enter_async_context(_side(engines, folder, number))
            for number in sorted({0, *flags.finished})
        ]
        rates = await _rounds(sides, clients, flags)
        databases = [await _looked_over(side) for side in sides]
    found = _grown(sides, rates)
    well = all(g.ok for g in found) and not any(d["faults"] for d in databases)
    report = {"cases": [asdict(g) for g in found], "databases": databases}
    return well, report, _table(found, databases)


@asynccontextmanager
async def _side(engines: Addresses, folder: Path, finished: int) -> AsyncIterator[_Side]:
    name = f"finished_{finished}"
    maker = await open_pool(engines.database_url, size=1)
    async with maker.acquire() as conn:
        await conn.execute(f"create database {name}")
    await maker.close()
    here = replace(
        engines, database_url=urlsplit(engines.database_url)._replace(path=f"/{name}").geturl()
    )
    pool = await open_pool(here.database_url, size=5)
    async with pool.acquire() as conn:
        await migrate(conn)
    world = World(pool)
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    service = await world.service(provider, rate="1")
    resellers = [await world.reseller(f"r{n}", funds=FUNDS) for n in range(_RESELLERS)]
    began = time.perf_counter()
    filling = await open_pool(here.database_url, size=1, unhurried=True)
    async with filling.acquire() as conn:
        await conn.execute("update provider set paused_reason = 'bench'")
        await fill_finished(
            conn,
            [reseller.id for reseller in resellers],
            service,
            provider.id,
            first=1,
            number=finished + _SOME,
        )
    await filling.close()
    seconds = time.perf_counter() - began
    print(f"{finished:,} finished orders made in {seconds:.0f} s", file=sys.stderr)
    async with gateway(here, folder, name) as server:
        yield _Side(
            finished,
            pool,
            server,
            resellers,
            provider,
            service,
            seconds,
            _AtOnce(),
            Spool(folder / f"{name}-spool"),
        )
    await pool.close()


async def _rounds(
    sides: Sequence[_Side], clients: Load, flags: argparse.Namespace
) -> dict[tuple[str, int], list[float]]:
    rates: dict[tuple[str, int], list[float]] = {}
    cases = {side.finished: side.cases() for side in sides}
    for number in range(flags.rounds):
        print(f"round {number + 1} of {flags.rounds}", file=sys.stderr)
        turn = [*sides[number % len(sides) :], *sides[: number % len(sides)]]
        for nth, case in enumerate(cases[0]):
            for side in turn:
                asked = cases[side.finished][nth]
                result = await clients.measure(
                    Measurement(
                        port=side.server.port,
                        bodies=asked.bodies,
                        starts=asked.starts,
                        ends=asked.ends,
                        connections=flags.connections,
                        warm_seconds=min(1.0, flags.seconds / 4),
                        seconds=flags.seconds,
                    )
                )
                rates.setdefault((case.name, side.finished), []).append(
                    result.answers / result.seconds
                )
        for side in turn:
            rates.setdefault(("claim and record", side.finished), []).append(await side.send())
    return rates


def _grown(sides: Sequence[_Side], rates: dict[tuple[str, int], list[float]]) -> list[Grown]:
    found = []
    for (case, finished), ours in rates.items():
        base = rates[case, sides[0].finished]
        ratios = [none / some for none, some in zip(base, ours, strict=True)]
        least, most = min(ratios), max(ratios)
        ok = median(ratios) <= _MOST
        found.append(Grown(case, finished, median(ours), median(ratios), least, most, ok))
    return sorted(found, key=lambda g: (g.case, g.finished))


async def _looked_over(side: _Side) -> dict[str, Any]:
    """A whole audit, a run of the watching one, and what the database weighs."""
    began = time.perf_counter()
    faults = [f"{f.check}: {f.row}" for f in (await audit(side.pool)).broken]
    audited = time.perf_counter() - began
    runs: list[int] = []
    for _ in range(3):
        if done := await watch(side.pool, 0):
            runs.append(done.watch.elapsed_ms)
            faults += [f"{f.check}: {f.row}" for f in done.found.broken]
    async with side.pool.acquire() as conn:
        size = await conn.fetchval("select pg_database_size(current_database())")
    return {
        "finished": side.finished,
        "fill_seconds": side.fill_seconds,
        "bytes": size,
        "audit_seconds": audited,
        "watch_ms": median(runs) if runs else None,
        "faults": faults[:10],
    }


def _table(found: Sequence[Grown], databases: Sequence[dict[str, Any]]) -> str:
    lines = [f"{'':18}{'finished':>12}{'per second':>12}{'ratio':>8}{'spread':>12}{'most':>7}"]
    lines += [
        f"{g.case:18}{g.finished:>12,}{g.per_second:>12,.0f}{g.ratio:>8.2f}"
        f"{f'{g.ratio_least:.2f}-{g.ratio_most:.2f}':>12}{_MOST:>7}  {'ok' if g.ok else 'MISSED'}"
        for g in found
    ]
    lines.append("")
    lines += [
        f"{d['finished']:,} finished: filled in {d['fill_seconds']:.0f} s,"
        f" {d['bytes'] / 2**30:.1f} GiB, whole audit {d['audit_seconds']:.1f} s, a watching run"
        f" {d['watch_ms']} ms, {'; '.join(d['faults']) or 'audit clean'}"
        for d in databases
    ]
    return "\n".join(lines)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this suite."""
    parser.add_argument("--finished", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument("--connections", type=int, default=64)
