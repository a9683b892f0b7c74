"""How fast one provider account's orders are sent: claim, answer after 100 ms, and record."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.embedded import Addresses
from gateway.store.connection import Pool
from tests.bench.cases import add
from tests.bench.load import Measurement
from tests.bench.panel import Seen
from tests.bench.processor import seconds_used
from tests.bench.stage import FUNDS, Load, Party, database, database_pids, gateway, load, panel
from tests.world import World

_LATENCY = 0.1
#: So many seconds of orders wait when the sending begins.
_SECONDS = 8
#: The concurrency that has a target, and the share of concurrency / latency that it is.
_TARGETS = {50: 0.75}
_LINE = "{:>10}{:>10}{:>11}{:>11}{:>8}{:>8}{:>8}{:>10}{:>13}"


@dataclass(frozen=True, slots=True)
class Sent:
    """One run: orders recorded a second, beside the most that the concurrency allows.

    ``gateway_us`` and ``database_us`` are processor time for each order.
    """

    in_flight: int
    orders: int
    per_second: float
    ratio: float
    target: float
    ok: bool
    most_at_once: int
    gateway_us: float
    database_us: float

    @property
    def possible(self) -> float:
        """Orders a second, if only the upstream took time."""
        return self.in_flight / _LATENCY


@dataclass(frozen=True, slots=True)
class _Bench:
    engines: Addresses
    pool: Pool
    clients: Load
    url: str
    party: Party
    folder: Path
    workers: int

    async def run(self, in_flight: int) -> Sent:
        """Let orders queue up at a paused account, free it, and time the sending."""
        provider_id = await self._queue(in_flight)
        async with gateway(
            self.engines, self.folder, f"sending-{in_flight}", workers=self.workers
        ) as server:
            before = await self._used(server.pids)
            await self._pause(provider_id, None)
            while await self._are_left(provider_id):
                await asyncio.sleep(0.2)
            after = await self._used(server.pids)
        number, rate = await self._recorded(provider_id)
        await self.party.tell("\n")
        seen = Seen(**json.loads(await self.party.hear()))
        ratio, target = rate * _LATENCY / in_flight, _TARGETS.get(in_flight, 0.0)
        ours, database_s = (b - a for a, b in zip(before, after, strict=True))
        return Sent(
            in_flight=in_flight,
            orders=number,
            per_second=rate,
            ratio=ratio,
            target=target,
            ok=ratio >= target and seen.most_at_once <= in_flight,
            most_at_once=seen.most_at_once,
            gateway_us=ours / number * 1e6,
            database_us=database_s / number * 1e6,
        )

    async def _queue(self, in_flight: int) -> int:
        world, name = World(self.pool), f"upstream-{in_flight}"
        record = await world.provider(self.url, name=name, in_flight=in_flight)
        service = await world.service(record, upstream_service=name)
        buyer = await world.reseller(f"buyer-{in_flight}", funds=FUNDS)
        await self._pause(record.id, "bench")
        wanted, placed = int(in_flight / _LATENCY * _SECONDS), 0
        bodies = [add(buyer, service, number) for number in range(wanted)]
        async with gateway(self.engines, self.folder, f"filling-{in_flight}") as server:
            while placed < wanted:
                some = Measurement(server.port, bodies, '{"order":', "}", 50, 0, 0.2)
                placed += (await self.clients.measure(some)).total
        return record.id

    async def _pause(self, provider_id: int, reason: str | None) -> None:
        async with self.pool.acquire() as conn:
            await conn.execute(
                "update provider set paused_reason = $2 where id = $1", provider_id, reason
            )

    async def _are_left(self, provider_id: int) -> bool:
        async with self.pool.acquire() as conn:
            return bool(
                await conn.fetchval(
                    """select exists (select from orders where provider_id = $1
                                         and state in ('queued', 'sending'))""",
                    provider_id,
                )
            )

    async def _used(self, server: Sequence[int]) -> tuple[float, float]:
        return seconds_used(server), seconds_used(await database_pids(self.pool))

    async def _recorded(self, provider_id: int) -> tuple[int, float]:
        """Orders, and how many a second; the first and last tenth, when the lane fills, left out.

        Raises:
            RuntimeError: when an order was not placed at its first attempt.
        """
        async with self.pool.acquire() as conn:
            row = await conn.fetchrow(
                """with ended as (
                       select state, finished_at as at,
                              percent_rank() over (order by finished_at) as place
                         from attempt where provider_id = $1)
                   select count(*) as number, count(*) filter (where state = 'placed') as placed,
                          count(*) filter (where place between 0.1 and 0.9)
                          / extract(epoch from max(at) filter (where place <= 0.9)
                                             - min(at) filter (where place >= 0.1)) as rate
                     from ended""",
                provider_id,
            )
        assert row is not None
        if row["placed"] != row["number"]:
            raise RuntimeError(f"of {row['number']} attempts {row['placed']} were placed")
        return row["number"], float(row["rate"])


async def run(flags: argparse.Namespace, folder: Path) -> tuple[bool, dict[str, Any], str]:
    """Measure every concurrency: whether all is well, the report, and its text."""
    found: list[Sent] = []
    async with (
        database(folder) as (engines, pool),
        load(folder) as clients,
        panel(folder, latency=_LATENCY) as (url, party),
    ):
        bench = _Bench(engines, pool, clients, url, party, folder, flags.workers)
        for in_flight in flags.in_flight:
            print(f"{in_flight} at the same time", file=sys.stderr)
            found.append(await bench.run(in_flight))
    return all(s.ok for s in found), {"runs": [asdict(s) for s in found]}, _table(found)


def _table(found: Sequence[Sent]) -> str:
    heads = ("in flight", "orders", "orders/s", "possible", "ratio", "target", "")
    lines = [_LINE.format(*heads, "ours µs", "database µs")]
    lines += [
        _LINE.format(
            s.in_flight,
            f"{s.orders:,}",
            f"{s.per_second:,.0f}",
            f"{s.possible:,.0f}",
            f"{s.ratio:.2f}",
            f"{s.target:.2f}" if s.target else "-",
            "ok" if s.ok else "MISSED",
            f"{s.gateway_us:,.0f}",
            f"{s.database_us:,.0f}",
        )
        for s in found
    ]
    return "\n".join([*lines, "", "µs: processor time for each order."])


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this suite."""
    parser.add_argument("--in-flight", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--workers", type=int, default=1, help="processes of the gateway (1)")
