"""How late open orders are asked for: many at each of some accounts, one request a second each."""

import argparse
import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.store.connection import Pool
from tests.bench.panel import Seen
from tests.bench.processor import seconds_used
from tests.bench.stage import Party, database, database_pids, gateway, panel
from tests.world import World

#: Orders must be asked for within this time after they are due.
_LATEST_SECONDS = 300.0
_SAMPLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Followed:
    """A run: how long orders were overdue (the worst moment), and what asking for one costs.

    ``gap_p99`` are the seconds between two looks at the same order, at the worst account.
    """

    orders: int
    accounts: int
    seconds: float
    looks: int
    calls_per_second: float
    lag_p99: float
    gap_p99: float
    gateway_us: float
    database_us: float

    @property
    def ok(self) -> bool:
        """Whether the target is met, by orders that were all looked at."""
        return self.lag_p99 <= _LATEST_SECONDS and self.looks >= self.orders


async def _fill(pool: Pool, provider_id: int, service_id: int, buyer_id: int, number: int) -> None:
    """New orders in progress, due within the first half minute."""
    async with pool.acquire() as conn, conn.transaction():
        first = await conn.fetchval("select coalesce(max(id), 0) + 1 from orders")
        await conn.execute(
            """insert into orders (id, reseller_id, service_id, service_type, provider_id,
                   upstream_service, upstream_id, state, version, attempts, link, quantity, rate,
                   charge, currency, wire_charge, wire_remains, request_id, next_at)
               select $1 + n, $2, $3, 'Default', $4, '1', n::text, 'in_progress', 3, 1,
                      'https://www.instagram.com/p/C' || n, 1000, 900000, 900000, 'USD', 900000,
                      1000, 'bench', now() + n % 30 * interval '1 second'
                 from generate_series(1, $5::int) as n""",
            first,
            buyer_id,
            service_id,
            provider_id,
            number,
        )
        await conn.execute("select setval('order_id', $1)", (first + number) // 64 * 64 + 65)
        await conn.execute("analyze orders")


async def _lag_p99(pool: Pool) -> float:
    """Seconds by which all but one of a hundred open orders are overdue at most."""
    async with pool.acquire() as conn:
        return float(
            await conn.fetchval(
                """select percentile_cont(0.99) within group (
                              order by greatest(0, extract(epoch from now() - next_at)))
                     from orders where state = 'in_progress'"""
            )
        )


async def _watch(pool: Pool, seconds: float) -> float:
    """The worst lag within so many seconds."""
    ends, worst = time.monotonic() + seconds, 0.0
    while time.monotonic() < ends:
        await asyncio.sleep(min(_SAMPLE_SECONDS, max(0.0, ends - time.monotonic())))
        worst = max(worst, await _lag_p99(pool))
        print(f"lag p99 {worst:.0f} s, {ends - time.monotonic():.0f} s to go", file=sys.stderr)
    return worst


async def _seen(party: Party) -> Seen:
    await party.tell("\n")
    return Seen(**json.loads(await party.hear()))


async def run(flags: argparse.Namespace, folder: Path) -> tuple[bool, dict[str, Any], str]:
    """Follow the orders for a while: whether all is well, the report, and its text."""
    async with AsyncExitStack() as stack:
        engines, pool = await stack.enter_async_context(database(folder))
        world, parties = World(pool), []
        buyer = await world.reseller()
        for number in range(flags.accounts):
            place = folder / f"panel-{number}"
            place.mkdir()
            url, party = await stack.enter_async_context(panel(place, latency=0))
            name = f"upstream-{number}"
            record = await world.provider(url, name=name, reads_per_minute=60)
            service = await world.service(record, upstream_service=name)
            await _fill(pool, record.id, service, buyer.id, flags.orders)
            parties.append(party)
        server = await stack.enter_async_context(gateway(engines, folder))
        before = seconds_used(server.pids), seconds_used(await database_pids(pool))
        worst = await _watch(pool, flags.seconds)
        after = seconds_used(server.pids), seconds_used(await database_pids(pool))
        seen = [await _seen(party) for party in parties]
    looks = sum(s.ids_asked for s in seen)
    followed = Followed(
        orders=flags.orders * flags.accounts,
        accounts=flags.accounts,
        seconds=flags.seconds,
        looks=looks,
        calls_per_second=max(s.status_calls for s in seen) / flags.seconds,
        lag_p99=worst,
        gap_p99=max(s.gap_p99 for s in seen),
        gateway_us=(after[0] - before[0]) / looks * 1e6,
        database_us=(after[1] - before[1]) / looks * 1e6,
    )
    return followed.ok, asdict(followed), _text(followed)


def _text(found: Followed) -> str:
    verdict = f"(at most {_LATEST_SECONDS:.0f}: {'ok' if found.ok else 'MISSED'})"
    costs = f"{found.gateway_us:,.0f} µs, database {found.database_us:,.0f} µs"
    return "\n".join(
        [
            f"{found.orders:,} open orders at {found.accounts} accounts, {found.seconds:.0f} s:",
            f"  {found.looks:,} looks, at most {found.calls_per_second:.2f} calls a second",
            f"  overdue at the worst moment, p99: {found.lag_p99:.0f} s {verdict}",
            f"  between two looks at an order, p99: {found.gap_p99:.0f} s",
            f"  processor time for each look: {costs}",
        ]
    )


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of this suite."""
    parser.add_argument("--accounts", type=int, default=4)
    parser.add_argument("--orders", type=int, default=25_000, help="at each account (25,000)")
    parser.add_argument("--seconds", type=float, default=600, help="to follow them (600)")
