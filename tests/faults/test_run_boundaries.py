"""C20: ``kill -9`` at each boundary of a drip-feed's runs: each is made, charged and sent once."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.embedded import Addresses
from schemas.money import UNIT
from tests.conftest import eventually
from tests.faults.gathering import assert_sound
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Toward
from tests.faults.site import PRICE, Site, open_site
from tests.sandbox_process import SandboxProcess

#: ``DRIP_FEEDS=200`` kills at all boundaries of so many, one after the other.
DRIP_FEEDS = int(os.environ.get("DRIP_FEEDS", "1"))
_RUN, _CLAIM, _RESULT = b"insert into run", b"insert into attempt", b"update attempt a"
#: Of each run: where its process is killed.
_BOUNDARIES: dict[str, dict[str, Any]] = {
    "before the run is committed": {"pattern": COMMIT, "after": _RUN},
    "between its commit and its sending": {
        "pattern": COMMITTED,
        "after": _RUN,
        "toward": Toward.CLIENT,
    },
    "before the claim is committed": {"pattern": COMMIT, "after": _CLAIM},
    "after its answer is recorded": {
        "pattern": COMMITTED,
        "after": _RESULT,
        "toward": Toward.CLIENT,
    },
}


@pytest.fixture
async def site(
    engines: Addresses, database_url: str, sandbox: SandboxProcess, tmp_path: Path
) -> AsyncIterator[Site]:
    """Everything up, with settings that decide quickly."""
    async with open_site(engines, database_url, sandbox, tmp_path) as opened:
        yield opened


async def test_killed_at_every_boundary_each_run_is_made_and_sent_once(
    site: Site, database_url: str
) -> None:
    runs = len(_BOUNDARIES) + 1
    for turn in range(DRIP_FEEDS):
        name = f"drip-{turn}"
        parent = await site.add(name, "stall", runs=runs, interval=60)
        assert parent is not None
        for number, how in enumerate(_BOUNDARIES.values(), start=1):
            await _killed_when_due(site, parent, site.worker_database, **how)
            await _delivered(site, parent, number)
            assert site.accepted(name) == number
        # The request of the last one is on its way: nobody can know, so nobody sends it again.
        await _killed_when_due(site, parent, site.panel_proxy, pattern=b"action=add")
        await _comes_to(site, parent, runs, "unknown")
        assert site.accepted(name) == runs - 1
        assert [run["number"] for run in await _runs(site, parent)] == [*range(1, runs + 1)]
        assert {run["charge"] for run in await _runs(site, parent)} == {PRICE}
    spent = await site.conn.fetchval("select $1 - amount from balance", 1000 * UNIT)
    assert spent == DRIP_FEEDS * runs * PRICE
    await assert_sound(database_url)


async def _killed_when_due(site: Site, parent: int, proxy: ChaosProxy, **how: Any) -> None:
    """The next run's time comes, and the process is killed there."""
    # Statements that a connection has prepared before do not come by again.
    site.worker_database.cut()
    killing = asyncio.create_task(site.killed(site.worker, proxy, **how))
    await asyncio.sleep(0)  # for the trap to be there
    await site.conn.execute("update schedule set next_run_at = now() where order_id = $1", parent)
    await site.conn.execute("update orders set next_at = now() where id = $1", parent)
    await killing


async def _delivered(site: Site, parent: int, number: int) -> None:
    await _comes_to(site, parent, number, "placed", "in_progress")
    run = (await _runs(site, parent))[-1]
    order = {"order": int(run["upstream_id"]), "status": "Completed"}
    await site.panel.control("order", order)
    await _comes_to(site, parent, number, "completed")


async def _comes_to(site: Site, parent: int, number: int, *states: str) -> None:
    """Wait until that run is in one of these states; nothing may have come after it."""

    async def there() -> bool:
        runs = await _runs(site, parent)
        assert len(runs) <= number
        return len(runs) == number and runs[-1]["state"] in states

    await eventually(there, seconds=60, every=0.1)


async def _runs(site: Site, parent: int) -> list[asyncpg.Record]:
    return await site.conn.fetch(
        """select r.number, o.* from run r join orders o on o.id = r.order_id
            where r.parent_id = $1 order by r.number""",
        parent,
    )
