"""Behind PgBouncer in transaction mode: the same gateway, and nothing that a session remembers."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.config import load_settings
from gateway.database import connect
from gateway.embedded import Addresses
from gateway.errors import UserError
from gateway.store.connection import Pool, open_pool, transaction
from gateway.store.migrate import migrate, migrations
from tests.application_role import APPLICATION, as_application, superuser_url
from tests.cli.command import Command
from tests.conftest import eventually
from tests.faults.checker import violations
from tests.faults.gathering import evidence, furnish, offer, watching
from tests.faults.journal import Journal, Outcome
from tests.faults.load import Caller, Load
from tests.gateway_process import GatewayProcess
from tests.postgresql.bouncer import SERVER_CONNECTIONS, Bouncer
from tests.sandbox_process import SandboxProcess
from tests.world import World

_SETTINGS = {
    "database": {"pgbouncer": True, "pool_size": 2 * SERVER_CONNECTIONS},
    "tracking": {"first_ms": 200, "last_ms": 1000, "idle_ms": 50},
}


@pytest.fixture
async def bouncer(database_url: str, tmp_path: Path) -> AsyncIterator[Bouncer]:
    """Leads to the test's database as the application's role."""
    async with Bouncer(tmp_path / "bouncer", as_application(database_url)) as started:
        yield started


async def test_two_gateways_behind_pgbouncer_take_send_and_track_orders(
    bouncer: Bouncer, engines: Addresses, database_url: str, pool: Pool, tmp_path: Path
) -> None:
    gateways = [
        GatewayProcess(
            bouncer.url, engines.redis_url, tmp_path / f"{number}.log", settings=_SETTINGS
        )
        for number in (1, 2)
    ]
    async with SandboxProcess(tmp_path / "sandbox", seconds=1) as panel:
        customers = await furnish(database_url, panel)
        async with gateways[0], gateways[1]:
            sold = await offer(gateways[0], customers[0])
            loads = [
                Load([g.url], [Caller(customers[0])] * 10, sold, Journal(),
                     seed=secrets.randbits(32), most=150, longest_thought=0.01)
                for g in gateways
            ]  # fmt: skip
            async with loads[0], loads[1]:
                for load in loads:
                    load.go()
                await eventually(lambda: _full(loads), seconds=60)
            await eventually(lambda: _all_ended(pool), seconds=60, every=0.2)
        for load in loads:
            assert {add.outcome for add in load.adds} == {Outcome.OK, Outcome.FAIL}
        loads[0].journal.adds += loads[1].journal.adds
        async with watching(database_url) as conn:
            assert violations(await evidence(conn, loads[0], panel, customers)) == []
    for gateway in gateways:
        assert "prepared statement" not in gateway.log_text()
        assert "loop.failed" not in gateway.log_text()
    await World(pool).assert_sound()


async def _full(loads: list[Load]) -> bool:
    return all(
        len(load.adds) >= 150 and all(add.outcome is not None for add in load.adds)
        for load in loads
    )


async def _all_ended(pool: Pool) -> bool:
    open_ = "select count(*) from orders where state in ('queued','sending','placed','in_progress')"
    return bool(await pool.fetchval(open_) == 0)


async def test_migrators_behind_pgbouncer_take_turns(
    database_url: str, pool: Pool, tmp_path: Path
) -> None:
    await pool.execute("drop schema public cascade; create schema public")
    async with Bouncer(tmp_path / "bouncer", database_url) as bouncer:
        through = await open_pool(bouncer.url, size=4, pgbouncer=True)

        async def run() -> list[str]:
            async with through.acquire() as conn:
                return await migrate(conn)

        done = await asyncio.gather(*(run() for _ in range(4)))
        assert sorted(n for names in done for n in names) == [name for name, _ in migrations()]
        await through.close()
    held = "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid"
    assert await pool.fetchval(f"{held} from pg_database where datname = current_database())") == 0


async def test_limits_behind_pgbouncer_are_those_of_the_role(
    database_url: str, command: Command, engines: Addresses, engines_dir: Path, tmp_path: Path
) -> None:
    conn = await asyncpg.connect(superuser_url(engines, engines_dir))
    left = (await command.json("database", "grant", APPLICATION))["left_to_a_superuser"]
    for statement in left:
        await conn.execute(statement)
    await conn.close()
    async with Bouncer(tmp_path / "bouncer", as_application(database_url)) as bouncer:
        through = await open_pool(bouncer.url, size=1, pgbouncer=True)
        async with through.acquire() as application, transaction(application):
            assert await application.fetchval("show statement_timeout") == "10s"
            assert await application.fetchval("show lock_timeout") == "3s"
            assert await application.fetchval("show idle_in_transaction_session_timeout") == "15s"
        await through.close()


async def test_pgbouncer_without_the_setting_is_one_line_that_names_it(bouncer: Bouncer) -> None:
    with pytest.raises(UserError, match=r"set database\.pgbouncer"):
        await connect(load_settings(), bouncer.url)
