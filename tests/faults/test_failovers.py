"""The primary dies under load, the standby takes over: no acknowledged order is lost."""

import asyncio
import random
import time
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool, transaction
from tests.conftest import eventually
from tests.faults.cluster import Cluster
from tests.faults.stage import FAILOVERS, Stage, set_up

#: Short, so that the gateway gives a COMMIT up, after a third of it, while its standby is cut off.
_HOLD_MS = 6_000
_DOUBT = "intake.in_doubt"


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
    """The standby is cut off, so commits wait; clients and the gateway give up; the primary dies.

    Somebody reads meanwhile: what is told of an order is not taken back, whoever is told.
    """
    async with (
        Cluster(tmp_path / "cluster") as cluster,
        # A refund whose COMMIT waits would keep orders from coming as far as theirs.
        set_up(tmp_path, cluster, engines, patience=2, hold_ms=_HOLD_MS, blind=9) as stage,
    ):
        async with stage.load:
            for _ in range(FAILOVERS):
                await stage.orders_more(50)
                # Frozen only, it would still find in its socket what it had been sent.
                await cluster.standby.stop_following()
                await eventually(cluster.commits_waiting)
                nearby = _ids_nearby(stage)
                told = await _given_up(stage, *nearby)
                began = time.monotonic()
                await cluster.fail_over()
                await cluster.rebuild()
                kept = await eventually(partial(stage.told_of, *nearby), seconds=60)
                assert told <= kept, f"told of, and lost: {sorted(told - kept)}, seed {stage.seed}"
                await stage.orders_more(1)
                stage.failed_over(time.monotonic() - began)
            await stage.orders_more(50)
        await stage.assert_nothing_is_lost(capsys)


def _ids_nearby(stage: Stage) -> tuple[int, int]:
    """The last ids that were acknowledged, and those that come next."""
    newest = max(add.order_id or 0 for add in stage.load.adds)
    return max(1, newest - 20), newest + 60


async def _given_up(stage: Stage, first: int, last: int) -> frozenset[int]:
    """Wait until clients and the gateway have given up a COMMIT; what a reader was told then."""
    doubts = stage.gateway.log_text().count(_DOUBT)
    asked_again = stage.load.retries
    told: frozenset[int] = frozenset()

    async def in_vain() -> bool:
        nonlocal told
        told = await stage.told_of(first, last)
        # Whoever sees what nobody was told has seen enough.
        early = told - {add.order_id for add in stage.load.adds}
        in_doubt = stage.gateway.log_text().count(_DOUBT) > doubts
        return stage.load.retries >= asked_again + 5 and bool(early or in_doubt)

    await eventually(in_vain, seconds=60, every=0.2)
    return told


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
