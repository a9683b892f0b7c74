"""C03: ``kill -9`` at named points, which a proxy finds by the bytes that go by.

One process answers, another sends and tracks; each has its own way to the database. Bytes of one
moment are held, the process is killed, and what it leaves is the class that the point must have.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded import Addresses
from tests.faults.proxy import COMMIT, COMMITTED, ChaosProxy, Toward
from tests.faults.site import PRICE, Site, open_site
from tests.sandbox_process import SandboxProcess

#: ``POINTS=200`` kills so often at each point.
POINTS = int(os.environ.get("POINTS", "1"))
#: Words of the statements that a connection has parsed before the COMMIT that is meant.
_ORDERS, _ATTEMPTS, _RESULTS, _ENTRIES = (
    b"insert into orders",
    b"insert into attempt",
    b"update attempt a",
    b"insert into entry",
)


@pytest.fixture
async def site(
    engines: Addresses, database_url: str, sandbox: SandboxProcess, tmp_path: Path
) -> AsyncIterator[Site]:
    """Everything up, with settings that decide quickly."""
    async with open_site(engines, database_url, sandbox, tmp_path) as opened:
        yield opened


async def _asked(site: Site, name: str, fault: str = "") -> "asyncio.Task[int | None]":
    """An order that is on its way."""
    return asyncio.create_task(site.add(name, fault))


async def test_killed_after_the_debit_before_its_commit(site: Site) -> None:
    """Nothing was kept, and the client's repetition is the one order."""
    for turn in range(POINTS):
        name = f"debit-{turn}"
        asking = await _asked(site, name)
        await site.killed(site.web, site.web_database, COMMIT, after=_ORDERS)
        assert await asking is None
        assert await site.orders(name) == []
        await site.assert_paid(turn)
        given = await site.add(name)
        assert [order["id"] for order in await site.orders(name)] == [given]
        await site.assert_paid(turn + 1)


async def test_killed_after_the_commit_before_the_answer(site: Site) -> None:
    """The order stands, and the client's repetition is given it."""
    for turn in range(POINTS):
        name = f"commit-{turn}"
        asking = await _asked(site, name)
        await site.killed(
            site.web, site.web_database, COMMITTED, toward=Toward.CLIENT, after=_ORDERS
        )
        assert await asking is None
        [order] = await site.orders(name)
        assert await site.add(name) == order["id"]
        assert len(await site.orders(name)) == 1
        await site.assert_paid(turn + 1)


async def test_killed_after_the_intent(site: Site) -> None:
    """Nothing was sent, and nobody can know: the order is frozen and never sent by a guess."""
    await _frozen_at(
        site,
        "intent",
        site.worker_database,
        COMMITTED,
        0,
        toward=Toward.CLIENT,
        after=_ATTEMPTS,
    )


async def test_killed_while_the_request_is_on_its_way(site: Site) -> None:
    """Bytes have left, the panel has not read them."""
    await _frozen_at(site, "bytes", site.panel_proxy, b"action=add", 0)


async def test_killed_before_the_answer_arrives(site: Site) -> None:
    """The panel has the order, its answer is on the way."""
    await _frozen_at(site, "answer", site.panel_proxy, b'{"order":', 1, toward=Toward.CLIENT)


async def test_killed_after_the_answer_before_its_record(site: Site) -> None:
    """The panel has named the order, and the name is not written down."""
    await _frozen_at(site, "record", site.worker_database, COMMIT, 1, after=_RESULTS)


async def _frozen_at(
    site: Site, point: str, proxy: ChaosProxy, pattern: bytes, upstream: int, **how: Any
) -> None:
    for turn in range(POINTS):
        name = f"{point}-{turn}"
        asking = await _asked(site, name, "stall")
        await site.killed(site.worker, proxy, pattern, **how)
        await asking
        await site.comes_to(name, "unknown")
        assert await site.state(name) == ("unknown", 0)
        assert site.accepted(name) == upstream
    await site.assert_paid(POINTS)


async def test_killed_after_the_record_is_committed(site: Site) -> None:
    """It is written down: nothing is in doubt."""
    for turn in range(POINTS):
        name = f"recorded-{turn}"
        asking = await _asked(site, name, "stall")
        await site.killed(
            site.worker, site.worker_database, COMMITTED, toward=Toward.CLIENT, after=_RESULTS
        )
        await asking
        assert (await site.state(name))[0] in ("placed", "in_progress")
        assert site.accepted(name) == 1


@pytest.mark.parametrize("committed", [False, True])
async def test_killed_inside_a_refund(site: Site, *, committed: bool) -> None:
    """The refund is paid once, by the killed process or by the next one."""
    for turn in range(POINTS):
        name = f"refund-{turn}"
        await site.add(name, "cancel")
        await site.comes_to(name, "placed")
        how = {"toward": Toward.CLIENT} if committed else {}
        # Only a refund writes entries in this process.
        killing = asyncio.create_task(
            site.killed(
                site.worker,
                site.worker_database,
                COMMITTED if committed else COMMIT,
                after=_ENTRIES,
                **how,
            )
        )
        await asyncio.sleep(0)
        await site.panel.control("advance", {"work": 1})
        await killing
        await site.comes_to(name, "canceled")
        assert await site.state(name) == ("canceled", PRICE)
        await site.assert_paid(0)
