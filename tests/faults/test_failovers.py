"""The primary dies under load, the standby takes over: no acknowledged order is lost."""

import asyncio
import random
import time
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool, transaction
from tests.conftest import eventually
from tests.faults.cluster import Cluster
from tests.faults.journal import Outcome
from tests.faults.stage import FAILOVERS, set_up


async def test_failovers_lose_no_acknowledged_order_and_double_none(
    engines: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        Cluster(tmp_path / "cluster") as cluster,
        set_up(tmp_path, cluster, engines) as stage,
    ):
        chance = random.Random(stage.seed)
        async with stage.load:
            for _ in range(FAILOVERS):
                await stage.orders_more(100)
                await asyncio.sleep(chance.uniform(0, 0.3))
                began = time.monotonic()
                await cluster.fail_over()
                await cluster.rebuild()
                await stage.orders_more(1)
                stage.failed_over(time.monotonic() - began)
            await stage.orders_more(50)
        await stage.assert_nothing_is_lost(capsys)


async def test_commits_in_doubt_when_the_primary_dies_lose_no_acknowledged_order(
    engines: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The standby is frozen, so commits wait; clients give up; the primary dies."""
    async with (
        Cluster(tmp_path / "cluster") as cluster,
        set_up(tmp_path, cluster, engines, patience=2) as stage,
    ):
        async with stage.load:
            for _ in range(FAILOVERS):
                await stage.orders_more(50)
                cluster.standby.freeze()
                await eventually(cluster.commits_waiting)
                given_up = stage.told(Outcome.UNKNOWN)

                async def clients_gave_up(before: int = given_up) -> bool:
                    return stage.told(Outcome.UNKNOWN) >= before + 5

                await eventually(clients_gave_up)
                began = time.monotonic()
                await cluster.fail_over()
                await cluster.rebuild()
                await stage.orders_more(1)
                stage.failed_over(time.monotonic() - began)
            await stage.orders_more(50)
        await stage.assert_nothing_is_lost(capsys)


async def test_without_a_synchronous_standby_the_same_run_shows_the_loss(
    engines: Addresses, tmp_path: Path
) -> None:
    """The runs above are not blind: this one must lose orders, and be told so."""
    async with (
        Cluster(tmp_path / "cluster", synchronous=False) as cluster,
        set_up(tmp_path, cluster, engines) as stage,
    ):
        async with stage.load:
            await stage.orders_more(20)
            await cluster.standby.stop_following()
            await stage.orders_more(50)
            await cluster.fail_over()
            await cluster.rebuild()
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
