"""``kill -9`` of the gateway under load, again and again: no order is lost, none is doubled."""

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.embedded import Addresses
from tests.application_role import as_application
from tests.faults.checker import violations
from tests.faults.evidence import Evidence
from tests.faults.gathering import assert_sound, come_to_rest, evidence, furnish, offer, watching
from tests.faults.journal import Journal, Outcome
from tests.faults.load import Caller, Habit, Load
from tests.faults.windows import Connection, Heard, Kill, Killer, Window, open_at
from tests.gateway_process import GatewayProcess
from tests.sandbox_process import SandboxProcess

#: ``KILLS=500`` makes a longer run.
KILLS = int(os.environ.get("KILLS", "50"))
_ADDS_PER_KILL = 120
_LATENCY_MS = 20
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
        watching(database_url) as conn,
    ):
        customers = await furnish(database_url, panel)
        gateway = GatewayProcess(
            as_application(database_url),
            engines.redis_url,
            tmp_path / "gateway.log",
            settings=_SETTINGS,
        )
        async with gateway:
            sold = await offer(gateway, customers[0])
            rich, poor = customers
            load = Load(
                [gateway.url],
                [Caller(rich, Habit.BLIND)] * 5 + [Caller(rich)] * 4 + [Caller(poor)],
                sold,
                Journal(),
                seed=seed,
                most=KILLS * _ADDS_PER_KILL,
                longest_thought=0.08,
            )
            kills = await _kill_again_and_again(gateway, load, conn, panel, seed)
            await come_to_rest(conn, panel)
        heard = Heard.of(panel.received(), panel.accepted(), _LATENCY_MS * 1_000)
        found = await evidence(conn, load, panel, customers)
        report = _report(seed, kills, heard, found, load.retries)
        with capsys.disabled():
            print("\n" + report)
        assert not violations(found), "\n".join([*violations(found)[:20], report])
        await assert_sound(database_url)
        _assert_all_windows_were_hit(kills, heard)
        assert any(order.state == "unknown" for order in found.orders), report


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
