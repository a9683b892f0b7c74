"""``kill -9`` of the gateway under load, again and again: no order is lost, none is doubled."""

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool
from schemas.money import parse_amount
from tests.application_role import as_application
from tests.conftest import eventually
from tests.faults.checker import Evidence, Kept, Statement, violations
from tests.faults.load import Load, Offer, Outcome
from tests.faults.windows import Connection, Heard, Kill, Killer, Window, open_at
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

#: ``KILLS=500`` makes a longer run.
KILLS = int(os.environ.get("KILLS", "50"))
_ADDS_PER_KILL = 120
_LATENCY_MS = 20
_FUNDS = {"acme": "100000", "poor": "1"}
_SETTINGS = {
    # A short lease, so that what a killed sender held is decided within the run.
    "dispatch": {"timeout_ms": 1500, "connect_timeout_ms": 500},
    "tracking": {"first_ms": 200, "last_ms": 1000, "idle_ms": 50},
}


async def test_kills_under_load_lose_no_order_and_double_none(
    engines: Addresses, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = secrets.randbits(32)
    async with (
        SandboxProcess(tmp_path / "sandbox", seconds=3) as panel,
        _watching(database_url) as conn,
    ):
        customers = await _furnish(database_url, panel)
        gateway = GatewayProcess(
            as_application(database_url),
            engines.redis_url,
            tmp_path / "gateway.log",
            settings=_SETTINGS,
        )
        async with gateway:
            offer = await _offer(gateway, customers[0])
            load = Load(
                gateway.url,
                [customers[0]] * 9 + [customers[1]],
                offer,
                seed=seed,
                most=KILLS * _ADDS_PER_KILL,
                longest_thought=0.08,
                blind=5,
            )
            kills = await _kill_again_and_again(gateway, load, conn, panel, seed)
            await _come_to_rest(conn, panel)
        heard = Heard.of(panel.received(), panel.accepted(), _LATENCY_MS * 1_000)
        evidence = await _evidence(conn, load, panel, customers)
        report = _report(seed, kills, heard, evidence, load.retries)
        with capsys.disabled():
            print("\n" + report)
        assert not violations(evidence), "\n".join([*violations(evidence)[:20], report])
        await _assert_sound(database_url)
        _assert_all_windows_were_hit(kills, heard)
        assert any(order.state == "unknown" for order in evidence.orders), report


async def _kill_again_and_again(
    gateway: GatewayProcess, load: Load, conn: Connection, panel: SandboxProcess, seed: int
) -> list[Kill]:
    chance = random.Random(seed)
    killer = Killer(gateway, load, conn)
    kills: list[Kill] = []
    latency = {"latency_before_ms": _LATENCY_MS, "latency_after_ms": _LATENCY_MS}
    await panel.control("conduct", latency)
    async with load:
        for _ in range(KILLS):
            load.go()
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            kills.append(await killer.kill())
            await gateway.start()
    return kills


async def _come_to_rest(conn: Connection, panel: SandboxProcess) -> None:
    """Wait until every lease is over and every order is sent, or frozen."""
    await panel.control("conduct", {"latency_before_ms": 0, "latency_after_ms": 0})

    async def at_rest() -> bool:
        moving = "select count(*) from orders where state in ('queued', 'sending')"
        return bool(await conn.fetchval(moving) == 0)

    await eventually(at_rest, seconds=60, every=0.2)


async def _furnish(database_url: str, panel: SandboxProcess) -> list[Customer]:
    pool = await open_pool(database_url, size=4)
    try:
        world = World(pool)
        await world.sandbox(panel)
        return [await world.reseller(name, funds=funds) for name, funds in _FUNDS.items()]
    finally:
        await pool.close()


async def _offer(gateway: GatewayProcess, customer: Customer) -> Offer:
    async with PanelClient(gateway.url, customer.key) as client:
        listed = await client.call("services")
    service = next(s for s in listed if s["type"] == "Default" and int(s["min"]) in range(10, 100))
    return Offer(service["service"], int(service["min"]))


@asynccontextmanager
async def _watching(database_url: str) -> AsyncIterator[Connection]:
    """A connection that is not the gateway's, for looking at what is committed."""
    conn = await asyncpg.connect(database_url, server_settings={"application_name": "watch"})
    try:
        yield conn
    finally:
        await conn.close()


async def _assert_sound(database_url: str) -> None:
    pool = await open_pool(database_url, size=1)
    try:
        await World(pool).assert_sound()
    finally:
        await pool.close()


async def _evidence(
    conn: Connection, load: Load, panel: SandboxProcess, customers: Sequence[Customer]
) -> Evidence:
    rows = await conn.fetch(
        """select o.id, o.reseller_id, o.link, o.quantity, o.state, o.upstream_id, o.rate,
                  o.charge, o.refunded,
                  array(select e.amount from entry e
                         where e.order_id = o.id and e.cause = 'charge') as charges
             from orders o"""
    )
    statements = {}
    for customer in customers:
        entries = await conn.fetch(
            """select case when destination = 'reseller' then amount else -amount end,
                      balance_after
                 from entry where reseller_id = $1 order by position""",
            customer.id,
        )
        balance = await conn.fetchval(
            "select amount from balance where reseller_id = $1", customer.id
        )
        funds = parse_amount(_FUNDS[customer.name])
        statements[customer.id] = Statement(funds, balance, tuple(map(tuple, entries)))
    return Evidence(
        adds=load.adds,
        orders=[Kept(**{**row, "charges": tuple(row["charges"])}) for row in rows],
        accepted=[(str(line["order"]), line["link"]) for line in panel.accepted()],
        statements=statements,
    )


def _report(
    seed: int, kills: Sequence[Kill], heard: Heard, evidence: Evidence, retries: int
) -> str:
    hit, held = _hits(kills, heard)
    told = Counter(str(add.outcome) for add in evidence.adds)
    states = Counter(order.state for order in evidence.orders)
    kept = {order.link for order in evidence.orders}
    open_adds = [a for a in evidence.adds if a.outcome is Outcome.UNKNOWN]
    lines = [f"kills: {len(kills)}, seed {seed}"]
    lines += [f"  {window}: open at {hit[window]} kills, held {held[window]}" for window in Window]
    lines += [
        f"  adds: {dict(told)}; of the unknown ones {sum(a.link in kept for a in open_adds)} exist",
        f"  blind retries after a lost answer: {retries}",
        f"  orders: {dict(states)}; accepted upstream: {len(evidence.accepted)}",
    ]
    return "\n".join(lines)


def _hits(kills: Sequence[Kill], heard: Heard) -> tuple[Counter[Window], Counter[Window]]:
    """Per window: at how many kills it was open, and how much it held in all."""
    hit: Counter[Window] = Counter()
    held: Counter[Window] = Counter()
    for kill in kills:
        found = open_at(kill, heard)
        held.update(found)
        hit.update(window for window, number in found.items() if number)
    return hit, held


def _assert_all_windows_were_hit(kills: Sequence[Kill], heard: Heard) -> None:
    hit, _ = _hits(kills, heard)
    assert all(hit[window] for window in Window), f"not every window was hit: {dict(hit)}"
