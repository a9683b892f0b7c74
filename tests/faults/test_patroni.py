"""Failovers and switchovers that Patroni decides: no acknowledged order is lost."""

import random
import time
from pathlib import Path

import pytest

from gateway.embedded import Addresses
from tests.faults.patroni import PatroniCluster
from tests.faults.stage import FAILOVERS, set_up


async def test_patroni_failovers_and_switchovers_lose_no_acknowledged_order(
    engines: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``kill -9`` of the leader's Patroni and PostgreSQL under load, then a switchover."""
    async with (
        PatroniCluster(tmp_path / "cluster") as cluster,
        set_up(tmp_path, cluster, engines) as stage,
    ):
        chance = random.Random(stage.seed)
        async with stage.load:
            for _ in range(FAILOVERS):
                await stage.orders_more(chance.randint(50, 100))
                killed = await cluster.leader()
                began = time.monotonic()
                await killed.kill()
                await stage.orders_more(1)
                stage.failed_over(time.monotonic() - began)
                killed.start()
                await cluster.whole()
                await stage.orders_more(chance.randint(50, 100))
                began = time.monotonic()
                await cluster.switch_over()
                await stage.orders_more(20)
                stage.failed_over(time.monotonic() - began)
                await cluster.whole()
            await stage.orders_more(50)
        await stage.assert_nothing_is_lost(capsys)
