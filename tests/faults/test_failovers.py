"""The primary dies under load, the standby takes over: no acknowledged order is lost."""

import asyncio
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool, transaction
from gateway.store.migrate import migrate
from tests.application_role import as_application, give_rights
from tests.conftest import eventually
from tests.faults.checker import violations
from tests.faults.cluster import Cluster
from tests.faults.gathering import assert_sound, come_to_rest, evidence, furnish, offer, watching
from tests.faults.load import Load, Outcome
from tests.gateway_process import GatewayProcess
from tests.sandbox_process import SandboxProcess
from tests.world import Customer

#: ``FAILOVERS=30`` makes a longer run.
FAILOVERS = int(os.environ.get("FAILOVERS", "1"))
_SETTINGS = {
    "dispatch": {"timeout_ms": 1500, "connect_timeout_ms": 500},
    "tracking": {"first_ms": 200, "last_ms": 1000, "idle_ms": 50},
}


@dataclass
class Stage:
    """A gateway on a cluster, with clients who order from it."""

    cluster: Cluster
    gateway: GatewayProcess
    panel: SandboxProcess
    load: Load
    customers: list[Customer]
    seed: int
    gaps: list[float] = field(default_factory=list)

    def told(self, outcome: Outcome) -> int:
        """How many clients were told that."""
        return sum(add.outcome is outcome for add in self.load.adds)

    async def orders_more(self, number: int) -> None:
        """Wait until that many more orders were acknowledged."""
        goal = self.told(Outcome.OK) + number
        self.load.go()

        async def reached() -> bool:
            return self.told(Outcome.OK) >= goal

        await eventually(reached, seconds=60)

    async def judge(self) -> tuple[list[str], str]:
        """What is wrong at the end, and a report for people."""
        async with watching(self.cluster.primary_url) as conn:
            await come_to_rest(conn, self.panel)
            found = await evidence(conn, self.load, self.panel, self.customers)
        told = Counter(str(add.outcome) for add in found.adds)
        states = Counter(order.state for order in found.orders)
        gaps = ", ".join(f"{gap:.1f}" for gap in self.gaps)
        report = (
            f"failovers: {self.cluster.failovers}, seed {self.seed}, seconds without orders: {gaps}"
            f"\n  adds: {dict(told)}\n  orders: {dict(states)}"
        )
        return violations(found), report


@asynccontextmanager
async def _stage(
    folder: Path, engines: Addresses, *, synchronous: bool = True, patience: float | None = None
) -> AsyncIterator[Stage]:
    seed = secrets.randbits(32)
    async with (
        Cluster(folder / "cluster", synchronous=synchronous) as cluster,
        SandboxProcess(folder / "sandbox", seconds=3) as panel,
    ):
        await _migrate(cluster.url)
        customers = await furnish(cluster.url, panel)
        gateway = GatewayProcess(
            as_application(cluster.url),
            engines.redis_url,
            folder / "gateway.log",
            settings=_SETTINGS,
        )
        async with gateway:
            load = Load(
                gateway.url,
                [customers[0]] * 9 + [customers[1]],
                await offer(gateway, customers[0]),
                seed=seed,
                most=100_000,
                longest_thought=0.08,
                blind=5,
                patience=patience,
            )
            yield Stage(cluster, gateway, panel, load, customers, seed)


async def _migrate(url: str) -> None:
    pool = await open_pool(url, size=1)
    async with pool.acquire() as conn:
        await migrate(conn)
        await give_rights(conn)
    await pool.close()


async def test_failovers_lose_no_acknowledged_order_and_double_none(
    engines: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with _stage(tmp_path, engines) as stage:
        chance = random.Random(stage.seed)
        async with stage.load:
            for _ in range(FAILOVERS):
                await stage.orders_more(100)
                await asyncio.sleep(chance.uniform(0, 0.3))
                began = time.monotonic()
                await stage.cluster.fail_over()
                await stage.cluster.rebuild()
                await stage.orders_more(1)
                stage.gaps.append(time.monotonic() - began)
            await stage.orders_more(50)
        wrong, report = await stage.judge()
        with capsys.disabled():
            print("\n" + report)
        assert not wrong, "\n".join([*wrong[:20], report])
        await assert_sound(stage.cluster.primary_url)


async def test_commits_in_doubt_when_the_primary_dies_lose_no_acknowledged_order(
    engines: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The standby is frozen, so commits wait; clients give up and ask again; the primary dies."""
    async with _stage(tmp_path, engines, patience=2) as stage:
        async with stage.load:
            for _ in range(FAILOVERS):
                await stage.orders_more(50)
                stage.cluster.standby.freeze()
                await eventually(stage.cluster.commits_waiting)
                given_up = stage.told(Outcome.UNKNOWN) + stage.load.retries

                async def clients_gave_up(before: int = given_up) -> bool:
                    return stage.told(Outcome.UNKNOWN) + stage.load.retries >= before + 5

                await eventually(clients_gave_up)
                began = time.monotonic()
                await stage.cluster.fail_over()
                await stage.cluster.rebuild()
                await stage.orders_more(1)
                stage.gaps.append(time.monotonic() - began)
            await stage.orders_more(50)
        wrong, report = await stage.judge()
        with capsys.disabled():
            print("\n" + report)
        assert not wrong, "\n".join([*wrong[:20], report])
        await assert_sound(stage.cluster.primary_url)


async def test_without_a_synchronous_standby_the_same_run_shows_the_loss(
    engines: Addresses, tmp_path: Path
) -> None:
    """The runs above are not blind: this one must lose orders, and be told so."""
    async with _stage(tmp_path, engines, synchronous=False) as stage:
        async with stage.load:
            await stage.orders_more(20)
            await stage.cluster.standby.stop_following()
            await stage.orders_more(50)
            await stage.cluster.fail_over()
            await stage.cluster.rebuild()
            await stage.orders_more(1)
        wrong, _ = await stage.judge()
        assert any(text.startswith("lost: ") for text in wrong)


async def test_limits_of_the_server_do_not_end_a_commit_that_waits(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        pool = await open_pool(cluster.url, size=1)
        async with pool.acquire() as conn:
            await conn.execute("create table note (number int)")
            for limit in ("statement_timeout", "lock_timeout"):
                await conn.execute(f"set {limit} = '200ms'")
            await conn.execute("set idle_in_transaction_session_timeout = '200ms'")

            async def commit() -> None:
                async with transaction(conn):
                    await conn.execute("insert into note values (1)")

            cluster.standby.freeze()
            waiting = asyncio.create_task(commit())
            await eventually(lambda: _waits_for(cluster, milliseconds=600))
            assert not waiting.done()
            cluster.standby.thaw()
            await waiting
        await pool.close()
        standby = await asyncpg.connect(
            cluster.url, target_session_attrs=asyncpg.connect_utils.SessionAttribute.standby
        )
        try:
            assert await standby.fetchval("select count(*) from note") == 1
        finally:
            await standby.close()


async def _waits_for(cluster: Cluster, milliseconds: int) -> bool:
    conn = await cluster.primary.connect()
    try:
        return bool(
            await conn.fetchval(
                """select count(*) from pg_stat_activity where wait_event = 'SyncRep'
                      and query_start < clock_timestamp() - $1 * interval '1 ms'""",
                milliseconds,
            )
        )
    finally:
        await conn.close()
