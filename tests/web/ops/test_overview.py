"""The overview: what it counts, over all processes."""

from gateway.request_metrics import Requests
from gateway.store import add_outcomes, overview
from gateway.store.connection import Pool
from gateway.web.add_outcomes import AddOutcomes
from schemas.operators import Role
from tests.web.ops.conftest import SignedIn


async def test_refused_orders_are_counted_once_by_minute_and_by_what_became_of_them(
    pool: Pool,
) -> None:
    here, there = Requests(), Requests()
    processes = [AddOutcomes(pool, here), AddOutcomes(pool, there)]
    for _ in range(3):
        here.count("add", "answered", 0.01)
    here.count("status", "answered", 0.01)
    there.count("add", "refused", 0.01)
    there.count("add", "answered", 0.01)
    for process in [*processes, *processes]:
        await process.write()
    here.count("add", "limited", 0.01)
    await processes[0].write()
    await pool.execute("update add_outcome set minute = minute - interval '1 hour'")
    async with pool.acquire() as conn:
        found = await add_outcomes.list_add_outcomes(conn, steps=3, step_seconds=3600)
    assert len(found) == 3
    total: dict[str, int] = {}
    for _, outcomes in found:
        for outcome, number in outcomes.items():
            total[outcome] = total.get(outcome, 0) + number
    assert total == {"answered": 4, "refused": 1, "limited": 1}
    await pool.execute("update add_outcome set minute = minute - interval '40 days'")
    await processes[0].write()
    assert await pool.fetchval("select count(*) from add_outcome") == 0


async def test_steps_without_orders_are_there_as_well(pool: Pool) -> None:
    async with pool.acquire() as conn:
        found = await overview.list_orders_of_time(conn, steps=60, step_seconds=60)
    assert len(found) == 61
    assert {(one.accepted, one.revenue, one.cost) for one in found} == {(0, 0, 0)}
    assert [one.at for one in found] == sorted(one.at for one in found)


async def test_the_overview_of_an_empty_gateway_says_so(signed_in: SignedIn) -> None:
    client = await signed_in("ada", Role.VIEWER)
    for span in ("hour", "day", "anything"):
        page = await client.get(f"/ops?span={span}")
        assert page.status == 200
        assert "Nothing waits for a person" in page.words
        assert "Nothing in this time" in page.words
