"""C27: behind PgBouncer in transaction mode, sessions end around COMMIT and clients ask again.

Who repeats an ``add`` blindly, under a name, or several times at once gets one order, charged
once, sent once; the last funds are spent exactly.
"""

import os
import random
import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.embedded import Addresses
from gateway.store.connection import Pool
from tests.application_role import as_application
from tests.conftest import eventually
from tests.faults.arena import SETTINGS, START_SECONDS
from tests.faults.checker import violations
from tests.faults.gathering import come_to_rest, evidence, furnish, offer, watching
from tests.faults.journal import Journal
from tests.faults.load import Caller, Habit, Load
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Toward
from tests.gateway_process import GatewayProcess
from tests.postgresql.bouncer import SERVER_CONNECTIONS, Bouncer, need_pgbouncer
from tests.sandbox_process import SandboxProcess
from tests.world import World

#: ``BREAKS=100`` breaks sessions off so often.
BREAKS = int(os.environ.get("BREAKS", "8"))
_SETTINGS = SETTINGS | {"database": {"pgbouncer": True, "pool_size": 2 * SERVER_CONNECTIONS}}
_ORDERS_BETWEEN = 25


async def test_repeats_around_broken_commits_are_one_order_each(
    engines: Addresses,
    database_url: str,
    pool: Pool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    need_pgbouncer()
    seed = secrets.randbits(32)
    async with (
        ChaosProxy.before(database_url) as network,
        Bouncer(tmp_path / "b", as_application(network.through(database_url))) as bouncer,
        SandboxProcess(tmp_path / "sandbox", seconds=1) as panel,
        watching(database_url) as conn,
    ):
        rich, poor = await furnish(database_url, panel)
        gateways = [
            GatewayProcess(
                bouncer.url,
                engines.redis_url,
                tmp_path / f"{number}.log",
                settings=_SETTINGS,
                start_seconds=START_SECONDS,
            )
            for number in (1, 2)
        ]
        async with gateways[0], gateways[1]:
            load = Load(
                [gateway.url for gateway in gateways],
                [
                    *[Caller(rich, Habit.BLIND)] * 4,
                    *[Caller(rich, Habit.NAMED)] * 2,
                    Caller(rich, Habit.TWINS),
                    Caller(poor, Habit.TWINS),
                ],
                await offer(gateways[0], rich),
                Journal(),
                seed=seed,
                most=10**6,
                longest_thought=0.02,
            )
            async with load:
                await _break_sessions(network, gateways, load, random.Random(seed))
            await come_to_rest(conn, panel)
        found = await evidence(conn, load, panel, [rich, poor])
        held = await conn.fetchval(
            """select count(*) from pg_locks where locktype = 'advisory'
                  and database = (select oid from pg_database where datname = current_database())"""
        )
    report = f"seed {seed}: {len(found.orders)} orders, {load.retries} adds sent again"
    with capsys.disabled():
        print(f"\n{report}")
    assert violations(found) == [], report
    assert load.retries, report
    assert held == 0
    assert not any("prepared statement" in gateway.log_text() for gateway in gateways)
    await World(pool).assert_sound()


async def _break_sessions(
    network: ChaosProxy, gateways: Sequence[GatewayProcess], load: Load, chance: random.Random
) -> None:
    """End sessions of the server, just when a COMMIT goes by, all at once, and with a gateway."""
    load.go()
    for turn in range(BREAKS):
        await _answered(load, _ORDERS_BETWEEN)
        pattern, toward = chance.choice([(COMMIT, Toward.SERVER), (COMMITTED, Toward.CLIENT)])
        passes = chance.random() < 0.5
        trap = network.trap(pattern, lambda link: link.reset(), toward=toward, passes=passes)
        await trap.wait(30)
        network.traps.remove(trap)
        if turn % 2:
            network.reset()
        if turn % 4 == 1:
            await chance.choice(gateways).restart()
    await _answered(load, _ORDERS_BETWEEN)
    load.stop()


async def _answered(load: Load, number: int) -> None:
    goal = load.answered + number

    async def reached() -> bool:
        return load.answered >= goal

    await eventually(reached, seconds=60)
