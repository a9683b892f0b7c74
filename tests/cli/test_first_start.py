"""The first start of a demo, broken off in its middle: the next start goes on from there."""

import asyncio
from pathlib import Path

import pytest

from gateway.cli import demo
from gateway.config import Settings, load_settings
from gateway.resellers.keys import KeyRing
from gateway.store import ledger, services
from gateway.store.connection import Pool
from tests.conftest import eventually
from tests.sandbox_process import SandboxProcess
from tests.world import PEPPERS, SECURITY, World


@pytest.fixture
def settings() -> Settings:
    return load_settings(security=SECURITY)


async def _somebody_waits(pool: Pool) -> bool:
    async with pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                "select count(*) from pg_stat_activity"
                " where wait_event_type = 'Lock' and datname = current_database()"
            )
        )


@pytest.mark.parametrize("table", ["entry", "provider", "route", "api_key"])
async def test_a_first_start_broken_off_at_any_step_is_completed_by_the_next(
    pool: Pool,
    world: World,
    sandbox: SandboxProcess,
    settings: Settings,
    tmp_path: Path,
    table: str,
) -> None:
    def start() -> asyncio.Task[str]:
        steps = demo.prepare(settings, tmp_path, pool, sandbox.url, sandbox.key)
        return asyncio.ensure_future(steps)

    async with pool.acquire() as other:
        await other.execute(f"begin; lock table {table} in exclusive mode")
        first = start()
        await eventually(lambda: _somebody_waits(pool))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await other.execute("rollback")

    key = await start()
    assert await start() == key
    access = await KeyRing(pool, PEPPERS).open(key)
    assert access is not None
    async with pool.acquire() as conn:
        assert len(await services.list_services(conn)) > 30
        assert await ledger.count_entries(conn, access.reseller_id) == 1
        assert (await ledger.get_balances(conn, [access.reseller_id])) == {
            access.reseller_id: 1_000_000_000
        }
    await world.assert_sound()


async def test_a_start_with_all_in_place_changes_nothing_but_the_panel_s_address(
    pool: Pool, sandbox: SandboxProcess, settings: Settings, tmp_path: Path
) -> None:
    key = await demo.prepare(settings, tmp_path, pool, sandbox.url, sandbox.key)
    async with pool.acquire() as conn:
        before = await services.list_services(conn)
        # Nobody listens there: what is in place is not asked for again.
        moved = "http://127.0.0.1:9/api/v2"
        assert await demo.prepare(settings, tmp_path, pool, moved, "other") == key
        assert await services.list_services(conn) == before
        assert await conn.fetchval("select url from provider") == moved
        assert await conn.fetchval("select count(*) from entry") == 1
