"""``smm-gateway range`` and ``smm-gateway audit --watch``."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE

from gateway.store.connection import Pool
from tests.architecture import ROOT
from tests.cli.command import Command
from tests.finished import fill_finished
from tests.money.faults import tamper
from tests.world import World

_NEXT = 5_000_000


async def _fill(world: World, pool: Pool) -> None:
    customer = await world.reseller()
    provider = await world.provider("http://127.0.0.1:9/api")
    service = await world.service(provider)
    async with pool.acquire() as conn:
        for first, number in ((1, 30), (_NEXT, 1)):
            await fill_finished(
                conn, [customer.id], service, provider.id, first=first, number=number
            )


async def test_a_range_is_listed_detached_and_listed_as_such(
    command: Command, world: World, pool: Pool
) -> None:
    await _fill(world, pool)
    [old, new, empty, *_] = await command.json("range", "list")
    assert {name: old[name] for name in ("lower", "upper", "orders", "detached_at", "kept_by")} == {
        "lower": 0,
        "upper": _NEXT - 1,
        "orders": 30,
        "detached_at": None,
        "kept_by": [],
    }
    assert old["bytes"] > 0
    assert old["last_end"]
    assert new["kept_by"] == empty["kept_by"] != []
    refused = await command.run("range", "detach", _NEXT)
    assert "cannot be detached yet: its ids are still being given" in refused.complaint
    done = await command.json("range", "detach", 0)
    assert done["tables"] == ["orders_0", "attempt_0", "order_event_0"]
    [gone, *_] = await command.json("range", "list")
    assert (gone["lower"], gone["orders"], gone["kept_by"]) == (0, 30, [])
    assert gone["detached_at"]
    assert (await command.json("audit"))["ok"]


async def test_the_watching_audit_prints_what_each_run_finds(
    command: Command, world: World, pool: Pool
) -> None:
    await _fill(world, pool)
    environment = {**os.environ, **command.settings}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "audit", "--watch", "--every", "1", "--json"),
        cwd=ROOT,
        env=environment,
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            first = json.loads(await process.stdout.readline())
            assert (first["ok"], first["orders"]) == (True, 31)
            async with pool.acquire() as conn:
                await tamper(conn, "update balance set amount = amount + 1")
            found = first
            while found["ok"]:
                found = json.loads(await process.stdout.readline())
            assert [row["check"] for row in found["broken"]] == ["balance_is_history"]
            async with pool.acquire() as conn:
                await tamper(conn, "update balance set amount = amount - 1")
            while not found["ok"]:
                found = json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()
