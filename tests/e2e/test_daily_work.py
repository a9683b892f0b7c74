"""What happens all day costs the same, however many orders have ended: it never reads those."""

import asyncpg

from gateway.store.connection import Connection, Pool
from tests.conftest import OpenGateway, eventually
from tests.finished import fill_finished
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World

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


async def _work(url: str, key: str, service: int, orders: int) -> list[int]:
    """Orders placed, followed to their end, refilled and canceled, as a client sees it."""
    async with PanelClient(url, key) as client:
        placed = []
        for number in range(orders):
            link = f"https://www.instagram.com/p/N{number}/?sandbox=complete"
            answer = await client.call(
                "add", service=service, link=link, quantity=1000, external_id=f"mine-{number}"
            )
            placed.append(answer["order"])
        many = ",".join(map(str, placed))

        async def found() -> bool:
            states = await client.call("status", orders=many)
            return all("error" not in state for state in states.values())

        await eventually(found)
        await client.call("refill", orders=many)
        await client.call("cancel", orders=many)
        await client.call("status", order=placed[0])
        await client.call("balance")
    return placed


async def test_the_work_of_a_day_reads_no_finished_orders(
    pool: Pool,
    world: World,
    open_gateway: OpenGateway,
    sandbox: SandboxProcess,
    database_url: str,
) -> None:
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
    watcher = await asyncpg.connect(database_url)
    before = await _settled(watcher)
    async with open_gateway() as gateway:
        placed = await _work(gateway.api_url, buyer.key, service, 20)

        async def followed() -> bool:
            return bool(
                await watcher.fetchval(
                    """select bool_and(state not in ('queued', 'sending'))
                         from orders where id = any($1)""",
                    placed,
                )
            )

        await eventually(followed)
    after = await _settled(watcher)
    await watcher.close()
    read = {name: after[name][0] - before[name][0] for name in after}
    whole = {name: after[name][1] - before[name][1] for name in after}
    assert len(read) == 5
    # A planner looks where an index ends, a join at one row before it sees that there is nothing
    # to join; a walk through what has ended would be all of it.
    assert max(whole.values()) < 100, whole
    assert max(read.values()) < 100, read
