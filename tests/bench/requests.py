"""What clients feel: the gateway beside a bare handler, in interleaved rounds.

The gateway also runs as two processes, beside two of the bare handler, and once with one order to
a transaction. Ends with the time an ``add`` takes at half of the peak.
"""

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.money.audit import audit
from gateway.store.connection import Pool
from tests.bench.cases import ADD, ADD_ONE, Case, add, all_cases
from tests.bench.comparing import Outcome, Sample, outcome_of, table
from tests.bench.load import Measurement
from tests.bench.processor import seconds_used
from tests.bench.stage import Filled, Server, Stage, bare, database_pids, gateway, stage
from tests.panel_client import PanelClient

_ORDERS_READ = 2_000
#: The sides that a case is measured at, and what is compared with what.
_TWO_PROCESSES = 0.25
_GROUPED = 3.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of the result: a case at two of the sides, and its target."""

    name: str
    case: str
    base: str
    ours: str
    target: float


@dataclass(frozen=True, slots=True)
class Answered:
    """How long an ``add`` takes while so many a second are placed, in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float


def comparisons(cases: Iterable[Case]) -> list[Comparison]:
    """Every case beside the bare handler; adds also with two processes and one by one."""
    found = []
    for case in cases:
        found.append(Comparison(case.name, case.name, "bare", "gateway", case.target))
        if case.name in (ADD, ADD_ONE):
            name = f"{case.name}, 2 processes"
            found.append(Comparison(name, case.name, "bare x2", "gateway x2", _TWO_PROCESSES))
        if case.name == ADD_ONE:
            name = f"{case.name}, grouped / one by one"
            found.append(Comparison(name, case.name, "one by one", "gateway", _GROUPED))
    return found


class Bench:
    """Measures cases at the sides; ``orders`` counts the orders acknowledged so far."""

    def __init__(self, there: Stage, flags: argparse.Namespace) -> None:
        self._there = there
        self._flags = flags
        self.orders = 0

    async def sample(self, case: Case, server: Server, *, seconds: float) -> Sample:
        """One measurement."""
        database, serving = await database_pids(self._there.pool), server.pids
        server_before, database_before = seconds_used(serving), seconds_used(database)
        result = await self._there.load.measure(self._measurement(case, server, seconds))
        return Sample(
            rate=result.answers / result.seconds,
            total=result.total,
            server_us=(seconds_used(serving) - server_before) / result.total * 1e6,
            database_us=(seconds_used(database) - database_before) / result.total * 1e6,
        )

    def _measurement(
        self, case: Case, server: Server, seconds: float, rate: float = 0
    ) -> Measurement:
        return Measurement(
            port=server.port,
            bodies=case.bodies,
            starts=case.starts,
            ends=case.ends,
            connections=self._flags.connections,
            warm_seconds=min(0.5, seconds / 4),
            seconds=seconds,
            rate=rate,
        )

    async def run(self, folder: Path) -> tuple[list[Outcome], Answered | None]:
        """All cases in all rounds, the order of the sides alternating."""
        there, filled = self._there, self._there.filled
        async with gateway(there.engines, folder) as ours:
            orders = await self._place_orders(ours)
            cases = all_cases(filled.resellers, filled.service, orders)
            wanted = [c for c in comparisons(cases) if self._flags.only in c.name]
            used = {side for c in wanted for side in (c.base, c.ours)}
            answers = await _answers(filled, ours.port, orders[0])
            async with _sides(there, folder, answers, used) as others:
                samples = await self._rounds(cases, wanted, {"gateway": ours} | others)
            outcomes = [
                outcome_of(c.name, c.target, samples[c.case, c.base], samples[c.case, c.ours])
                for c in wanted
            ]
            peak = next((o.gateway_per_second for o in outcomes if o.case == ADD), None)
            answered = await self._at_half(cases[0], ours, peak) if peak else None
        return outcomes, answered

    async def _rounds(
        self, cases: Sequence[Case], wanted: Sequence[Comparison], sides: Mapping[str, Server]
    ) -> dict[tuple[str, str], list[Sample]]:
        samples: dict[tuple[str, str], list[Sample]] = {}
        for number in range(self._flags.rounds):
            print(f"round {number + 1} of {self._flags.rounds}", file=sys.stderr)
            for case in cases:
                at = {side for c in wanted if c.case == case.name for side in (c.base, c.ours)}
                for side in sorted(at, reverse=bool(number % 2)):
                    sample = await self.sample(case, sides[side], seconds=self._flags.seconds)
                    samples.setdefault((case.name, side), []).append(sample)
                    if case.name in (ADD, ADD_ONE) and not side.startswith("bare"):
                        self.orders += sample.total
        return samples

    async def _at_half(self, case: Case, server: Server, peak: float) -> Answered:
        seconds = self._flags.seconds * 2
        asked = self._measurement(case, server, seconds, rate=peak / 2)
        result = await self._there.load.measure(asked)
        self.orders += result.total
        return Answered(result.answers / result.seconds, result.p50_ms, result.p99_ms)

    async def _place_orders(self, server: Server) -> list[int]:
        """Warm up, and make orders of the first reseller whose status can be asked."""
        filled = self._there.filled
        calls = [add(filled.resellers[0], filled.service, n) for n in range(-1, -_ORDERS_READ, -1)]
        warm = Case("warm-up", 0, calls, '{"order":', "}")
        found: list[int] = []
        while len(found) < _ORDERS_READ:
            self.orders += (await self.sample(warm, server, seconds=0.5)).total
            async with self._there.pool.acquire() as conn:
                rows = await conn.fetch("select id from orders order by id limit $1", _ORDERS_READ)
            found = [row["id"] for row in rows]
        return found


@asynccontextmanager
async def _sides(
    there: Stage, folder: Path, answers: dict[str, str], used: set[str]
) -> AsyncIterator[dict[str, Server]]:
    """The servers besides the gateway that are asked for, by the names of the sides."""
    ways: dict[str, Callable[[], AbstractAsyncContextManager[Server]]] = {
        "bare": lambda: bare(there.engines, folder, answers),
        "bare x2": lambda: bare(there.engines, folder, answers, 2),
        "gateway x2": lambda: gateway(there.engines, folder, "gateway-2", workers=2),
        "one by one": lambda: gateway(
            there.engines, folder, "one-by-one", SMM_INTAKE__GROUP_SIZE="1"
        ),
    }
    async with AsyncExitStack() as stack:
        yield {
            side: await stack.enter_async_context(way())
            for side, way in ways.items()
            if side in used
        }


async def _answers(filled: Filled, port: int, order: int) -> dict[str, str]:
    """What the gateway answers to each action, for the bare handler to repeat."""
    url = f"http://127.0.0.1:{port}/api/v2"
    async with PanelClient(url, filled.resellers[0].key) as client:
        parameters: dict[str, dict[str, object]] = {
            "balance": {},
            "services": {},
            "status": {"order": order},
        }
        found = {
            action: (await client.raw(action, **given))[1].decode()
            for action, given in parameters.items()
        }
    return found | {"add": f'{{"order":{order + 100_000}}}'}


async def find_faults(pool: Pool, acknowledged: int) -> list[str]:
    """What is wrong with the database afterwards: broken invariants, lost or unasked orders."""
    async with pool.acquire() as conn:
        kept = await conn.fetchval("select count(*) from orders")
        sent = await conn.fetchval("select count(*) from attempt where state = 'placed'")
        durable = [await conn.fetchval(f"show {name}") for name in ("fsync", "synchronous_commit")]
    faults = [f"{f.check}: {f.row}" for f in (await audit(pool)).broken]
    if kept != acknowledged:
        faults.append(f"{acknowledged} orders were acknowledged, {kept} are there")
    if not sent:
        faults.append("nothing was dispatched")
    if durable != ["on", "on"]:
        faults.append(f"fsync and synchronous_commit are {durable}")
    return faults


async def run(flags: argparse.Namespace, folder: Path) -> tuple[bool, dict[str, Any], str]:
    """Measure and audit: whether all is well, the report, and its text."""
    async with stage(folder) as there:
        measured = Bench(there, flags)
        outcomes, answered = await measured.run(folder)
        faults = await find_faults(there.pool, measured.orders)
    report = {
        "seconds": flags.seconds,
        "rounds": flags.rounds,
        "connections": flags.connections,
        "orders": measured.orders,
        "faults": faults,
        "cases": [asdict(outcome) for outcome in outcomes],
        "add_at_half_of_peak": asdict(answered) if answered else None,
    }
    text = [table(outcomes)]
    if answered is not None:
        text.append(
            f"add at half of its peak, {answered.rate:,.0f}/s: "
            f"p50 {answered.p50_ms:.1f} ms, p99 {answered.p99_ms:.1f} ms"
        )
    text.append(f"audit: {'; '.join(faults[:10]) or f'clean, {measured.orders:,} orders'}")
    return not faults and all(outcome.ok for outcome in outcomes), report, "\n".join(text)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this suite."""
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--only", default="", help="rows whose name contains this")
