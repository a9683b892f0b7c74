"""``python -m tests.bench``: the gateway beside a bare handler, in interleaved rounds.

Shipped configuration: durable commits, logs, dispatch to a sandbox panel. The load generator, both
servers, the panel and the database are processes of their own. Ends with an audit; exits with 1
when a target is missed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import uvloop

from gateway.money.audit import audit
from gateway.store.connection import Pool
from tests.bench.cases import Case, add, all_cases
from tests.bench.load import Measurement
from tests.bench.processor import seconds_used
from tests.bench.stage import Filled, Stage, bare, database_pids, gateway, stage
from tests.panel_client import PanelClient

_ORDERS_READ = 2_000
_LINE = "{:22}{:>9}{:>11}{:>8}{:>12}{:>8}{:>8}{:>10}{:>12}{:>13}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: answers a second, and processor microseconds for each answer."""

    rate: float
    total: int
    server_us: float
    database_us: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case over all rounds: medians, and the ratio's spread."""

    case: str
    bare_per_second: float
    gateway_per_second: float
    ratio: float
    ratio_least: float
    ratio_most: float
    target: float
    ok: bool
    bare_us: float
    gateway_us: float
    database_us: float


def outcome_of(case: Case, bares: list[Sample], gateways: list[Sample]) -> Outcome:
    """Sum the rounds up; ratios are taken within a round."""
    ratios = [ours.rate / bare.rate for ours, bare in zip(gateways, bares, strict=True)]
    return Outcome(
        case=case.name,
        bare_per_second=median(s.rate for s in bares),
        gateway_per_second=median(s.rate for s in gateways),
        ratio=median(ratios),
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        target=case.target,
        ok=median(ratios) >= case.target,
        bare_us=median(s.server_us for s in bares),
        gateway_us=median(s.server_us for s in gateways),
        database_us=median(s.database_us for s in gateways),
    )


class Bench:
    """Measures cases at both servers; ``orders`` counts the orders acknowledged so far."""

    def __init__(self, there: Stage, flags: argparse.Namespace) -> None:
        self._there = there
        self._flags = flags
        self.orders = 0

    async def sample(self, case: Case, port: int, pid: int, *, seconds: float) -> Sample:
        """One measurement."""
        database = await database_pids(self._there.pool)
        server_before, database_before = seconds_used([pid]), seconds_used(database)
        result = await self._there.load.measure(
            Measurement(
                port=port,
                bodies=case.bodies,
                starts=case.starts,
                ends=case.ends,
                connections=self._flags.connections,
                warm_seconds=min(0.5, seconds / 4),
                seconds=seconds,
            )
        )
        return Sample(
            rate=result.answers / result.seconds,
            total=result.total,
            server_us=(seconds_used([pid]) - server_before) / result.total * 1e6,
            database_us=(seconds_used(database) - database_before) / result.total * 1e6,
        )

    async def run(self, folder: Path) -> list[Outcome]:
        """All cases in all rounds, the order of the two servers alternating."""
        there, filled = self._there, self._there.filled
        async with gateway(there.engines, folder) as (port, process):
            orders = await self._place_orders(port, process.pid)
            cases = all_cases(filled.resellers, filled.service, orders)
            answers = await _answers(filled, port, orders[0])
            async with bare(there.engines, folder, answers) as (bare_port, bare_process):
                sides = {"bare": (bare_port, bare_process.pid), "gateway": (port, process.pid)}
                return await self._rounds(cases, sides)

    async def _rounds(self, cases: list[Case], sides: dict[str, tuple[int, int]]) -> list[Outcome]:
        wanted = [case for case in cases if self._flags.only in case.name]
        samples: dict[tuple[str, str], list[Sample]] = {}
        for number in range(self._flags.rounds):
            print(f"round {number + 1} of {self._flags.rounds}", file=sys.stderr)
            for case in wanted:
                for side in sorted(sides, reverse=bool(number % 2)):
                    sample = await self.sample(case, *sides[side], seconds=self._flags.seconds)
                    samples.setdefault((case.name, side), []).append(sample)
                    if side == "gateway" and case.name.startswith("add"):
                        self.orders += sample.total
        return [
            outcome_of(case, samples[case.name, "bare"], samples[case.name, "gateway"])
            for case in wanted
        ]

    async def _place_orders(self, port: int, pid: int) -> list[int]:
        """Warm up, and make orders of the first reseller whose status can be asked."""
        filled = self._there.filled
        calls = [add(filled.resellers[0], filled.service, n) for n in range(-1, -_ORDERS_READ, -1)]
        warm = Case("warm-up", 0, calls, '{"order":', "}")
        found: list[int] = []
        while len(found) < _ORDERS_READ:
            self.orders += (await self.sample(warm, port, pid, seconds=0.5)).total
            async with self._there.pool.acquire() as conn:
                rows = await conn.fetch("select id from orders order by id limit $1", _ORDERS_READ)
            found = [row["id"] for row in rows]
        return found


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


def table(outcomes: list[Outcome]) -> str:
    """The result for people."""
    lines = [
        _LINE.format(
            *("", "bare/s", "gateway/s", "ratio", "spread", "target", ""),
            *("bare µs", "gateway µs", "database µs"),
        )
    ]
    lines += [
        _LINE.format(
            o.case,
            f"{o.bare_per_second:,.0f}",
            f"{o.gateway_per_second:,.0f}",
            f"{o.ratio:.2f}",
            f"{o.ratio_least:.2f}-{o.ratio_most:.2f}",
            f"{o.target:.2f}",
            "ok" if o.ok else "MISSED",
            f"{o.bare_us:,.0f}",
            f"{o.gateway_us:,.0f}",
            f"{o.database_us:,.0f}",
        )
        for o in outcomes
    ]
    return "\n".join([*lines, "", "µs: processor time for each answer."])


async def bench(flags: argparse.Namespace, folder: Path) -> int:
    """Measure, show, audit."""
    async with stage(folder) as there:
        measured = Bench(there, flags)
        outcomes = await measured.run(folder)
        faults = await find_faults(there.pool, measured.orders)
    report = {
        "seconds": flags.seconds,
        "rounds": flags.rounds,
        "connections": flags.connections,
        "orders": measured.orders,
        "faults": faults,
        "cases": [asdict(outcome) for outcome in outcomes],
    }
    if flags.out is not None:
        flags.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report) if flags.json else table(outcomes))
    said = "; ".join(faults[:10]) or f"clean, {measured.orders:,} orders"
    print(f"audit: {said}", file=sys.stderr if flags.json else sys.stdout)
    return 0 if not faults and all(outcome.ok for outcome in outcomes) else 1


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    flags = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="smm-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(bench(flags, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
