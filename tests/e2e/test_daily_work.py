"""What happens all day costs the same, however many orders have ended: it never reads those."""

import asyncpg

from gateway.store.connection import Connection, Pool
from tests.conftest import OpenGateway, eventually
from tests.finished import fill_finished
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

#: So many that no planner reads them all by mistake.
_FINISHED = 20_000
_NEXT = 5_000_000

_READ = """select relname as name, seq_tup_read + coalesce(idx_tup_fetch, 0) as rows, seq_tup_read
             from pg_stat_user_tables
            where relname in ('orders_0', 'attempt_0', 'order_event_0', 'entry', 'placement')"""


async def _settled(conn: Connection) -> dict[str, tuple[int, int]]:
    """Rows read so far, and those of them in whole tables, once all others have gone.

    A connection hands its counters in at its end.
    """

    async def alone() -> bool:
        others = await conn.fetchval(
            """select count(*) from pg_stat_activity
                where datname = current_database() and backend_type = 'client backend'"""
        )
        return bool(others == 1)

    await eventually(alone)
    return {row["name"]: (row["rows"], row["seq_tup_read"]) for row in await conn.fetch(_READ)}


async def _fill(pool: Pool, world: World, sandbox: SandboxProcess) -> tuple[Customer, int]:
    """A reseller with finished orders of a service; what comes next is in another range."""
    panel = await world.sandbox(sandbox)
    buyer = await world.reseller("buyer", funds="1000000")
    async with pool.acquire() as conn:
        service = await conn.fetchval(
            """select s.id from service s join route r on r.service_id = s.id
                where r.provider_id = $1 and s.type = 'Default' and s.enabled limit 1""",
            panel.id,
        )
        await fill_finished(conn, [buyer.id], service, panel.id, first=1, number=_FINISHED)
        await conn.execute("select setval('order_id', $1)", _NEXT)
    await world.assert_sound()
    await pool.close()
    return buyer, service


async def _work(client: PanelClient, service: int, orders: int) -> None:
    """Orders placed, followed to their end, refilled and canceled, as a client sees it."""
    placed = []
    for number in range(orders):
        link = f"https://www.instagram.com/p/N{number}/"
        answer = await client.call(
            "add", service=service, link=link, quantity=1000, external_id=f"mine-{number}"
        )
        placed.append(answer["order"])
    many = ",".join(map(str, placed))

    async def ended() -> bool:
        states = await client.call("status", orders=many)
        return all(state.get("status") == "Completed" for state in states.values())

    await eventually(ended, seconds=60)
    await client.call("refill", orders=many)
    await client.call("cancel", orders=many)
    await client.call("status", order=placed[0])
    await client.call("balance")


async def test_the_work_of_a_day_reads_no_finished_orders(
    pool: Pool,
    world: World,
    open_gateway: OpenGateway,
    sandbox: SandboxProcess,
    database_url: str,
) -> None:
    buyer, service = await _fill(pool, world, sandbox)
    await sandbox.control("speed", {"seconds": 0.2})
    watcher = await asyncpg.connect(database_url)
    before = await _settled(watcher)
    async with open_gateway() as gateway, PanelClient(gateway.api_url, buyer.key) as client:
        await _work(client, service, 20)
    after = await _settled(watcher)
    await watcher.close()
    read = {name: after[name][0] - before[name][0] for name in after}
    whole = {name: after[name][1] - before[name][1] for name in after}
    assert len(read) == 5
    # A planner looks where an index ends, a join at one row before it sees that there is nothing
    # to join; a walk through what has ended would be all of it.
    assert max(whole.values()) < 100, whole
    assert max(read.values()) < 100, read


async def test_a_look_at_an_order_in_doubt_walks_through_no_finished_orders(
    pool: Pool,
    world: World,
    open_gateway: OpenGateway,
    sandbox: SandboxProcess,
    database_url: str,
) -> None:
    buyer, service = await _fill(pool, world, sandbox)
    watcher = await asyncpg.connect(database_url)
    before = await _settled(watcher)
    async with open_gateway() as gateway, PanelClient(gateway.api_url, buyer.key) as client:
        await client.add(service, 1000, "https://www.instagram.com/p/N/?sandbox=reset-after")

        async def looked_at() -> bool:
            return bool(await watcher.fetchval("select count(*) from reconciliation"))

        await eventually(looked_at, seconds=60)
    after = await _settled(watcher)
    await watcher.close()
    # What happened lately is found by summaries of parts of a table, and a part is read whole.
    whole = {name: after[name][1] - before[name][1] for name in after}
    assert max(whole.values()) < 100, whole
