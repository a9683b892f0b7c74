"""Refills against a real panel: one call per request, and none that may have been taken twice."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from gateway.errors import UserError
from gateway.orders.dispatch import LATE_MS
from gateway.orders.refills import close_refill, freeze_forgotten_refills, told_refills
from gateway.store.connection import Pool
from schemas import panel_v2 as wire
from schemas.aftercare import RefillState
from tests.orders.aftercare import Aftercare
from tests.orders.line import Line, faulty
from tests.world import BY_TEST


@pytest.fixture
def care(line: Line) -> Aftercare:
    """Refills and cancellations on the line."""
    return Aftercare(line)


async def _end_lease(care: Aftercare, refill: int) -> None:
    await care.line.pool.execute("update refill set next_at = now() where id = $1", refill)


async def test_a_refill_is_sent_once_and_followed_to_its_end(care: Aftercare) -> None:
    [order] = await care.completed(faulty())
    spent = await care.line.spent()
    refill = await care.refill(order)
    assert await care.state(refill) == "requested"
    assert [change.state for change in await care.send()] == [RefillState.PLACED]
    assert await care.send() == []
    seen = []
    for work in (0.01, 0.5, 1):
        await care.line.panel.control("advance", {"work": work})
        await care.follow()
        seen.append(await care.state(refill))
    assert seen == ["placed", "in_progress", "completed"]
    assert await care.follow() == 0
    assert (await care.row(refill))["ended_at"] is not None
    assert await care.calls("refill") == 1
    assert await care.line.spent() == spent
    await care.line.world.assert_sound()


_LOSING = [
    "reset-before",
    "reset-after",
    "close-after",
    "html-after",
    "empty-after",
    "500-after",
    "503-before",
    "truncated-after",
    "redirect-after",
    "noise-after",
    "body-after:[]",
    'body-after:{"success":true}',
    "slow-after:4000",
]


async def test_a_lost_answer_freezes_the_refill_which_is_never_sent_again(care: Aftercare) -> None:
    orders = await care.completed(*[faulty(name=str(n)) for n in range(len(_LOSING))])
    refills = {}
    for fault, order in zip(_LOSING, orders, strict=True):
        refills[fault] = await care.refill(order)
        await care.fail("refill", fault)
        assert [change.state for change in await care.send()] == [RefillState.UNKNOWN], fault
    for _ in range(3):
        assert await care.send() == []
        assert await care.follow() == 0
        await freeze_forgotten_refills(care.line.pool)
    assert await care.calls("refill") == len(_LOSING)
    told = await told_refills(care.line.pool, care.line.customer.id, list(refills.values()))
    assert told == dict.fromkeys(refills.values(), RefillState.UNKNOWN)
    assert (await care.request(*orders)).refused == dict.fromkeys(orders, wire.REFILL_OPEN)
    await care.line.world.assert_sound()


@pytest.mark.parametrize("fault", ["too-many", "refuse:Too many requests", "bad-key"])
async def test_what_was_provably_not_taken_is_sent_later(care: Aftercare, fault: str) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    await care.fail("refill", fault)
    assert (await care.send())[0].state is RefillState.REQUESTED
    await care.send()
    assert await care.state(refill) == "placed"
    assert (await care.row(refill))["tries"] == 2
    await care.line.world.assert_sound()


async def test_a_panel_that_is_away_gets_the_refill_once_it_is_back(care: Aftercare) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    await care.line.panel.kill()
    claimed = await care.refiller.claim(care.line.provider)
    assert claimed is not None
    change = await care.refiller.send(care.line.adapter, care.line.provider, *claimed)
    assert change.state is RefillState.REQUESTED
    await care.line.panel.start()
    await care.send()
    assert await care.state(refill) == "placed"
    assert await care.calls("refill") == 1


@pytest.mark.parametrize("text", [wire.REFILL_DISABLED, "The drop is below 5 percent"])
async def test_a_catalogue_s_flag_is_no_promise_and_the_reason_is_kept(
    care: Aftercare, text: str
) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    await care.fail("refill", f"refuse:{text}")
    await care.send()
    row = await care.row(refill)
    assert (row["state"], row["reason"], row["upstream_id"]) == ("rejected", text, None)
    assert await care.send() == []
    again = (await care.request(order, wait=timedelta(days=1))).refused
    assert again == {order: wire.REFILL_TOO_EARLY}
    assert (await care.request(order)).made.keys() == {order}
    await care.line.world.assert_sound()


async def test_a_refill_whose_sender_died_becomes_unknown_and_is_not_sent_again(
    care: Aftercare,
) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    assert await care.refiller.claim(care.line.provider) is not None
    assert await freeze_forgotten_refills(care.line.pool) == 0
    await _end_lease(care, refill)
    assert await freeze_forgotten_refills(care.line.pool) == 1
    assert await freeze_forgotten_refills(care.line.pool) == 0
    assert await care.send() == []
    assert await care.state(refill) == "unknown"
    assert await care.calls("refill") == 0
    await care.line.world.assert_sound()


@pytest.mark.parametrize(
    ("fault", "state"),
    [("slow-after:1", "placed"), ("reset-after", "unknown"), ("too-many", "requested")],
)
async def test_an_answer_after_the_lease_still_counts(
    care: Aftercare, fault: str, state: str
) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    claimed = await care.refiller.claim(care.line.provider)
    assert claimed is not None
    await _end_lease(care, refill)
    await freeze_forgotten_refills(care.line.pool)
    await care.fail("refill", fault)
    await care.refiller.send(care.line.adapter, care.line.provider, *claimed)
    assert await care.state(refill) == state
    await care.line.world.assert_sound()


async def test_a_sender_that_was_stopped_after_its_claim_does_not_send(line: Line) -> None:
    now = [1_000.0]
    care = Aftercare(line, clock=lambda: now[0])
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    claimed = await care.refiller.claim(line.provider)
    assert claimed is not None
    now[0] += LATE_MS / 1000 + 0.001
    await care.refiller.send(line.adapter, line.provider, *claimed)
    assert await care.state(refill) == "requested"
    assert await care.calls("refill") == 0


async def test_a_second_answer_to_one_call_changes_nothing(care: Aftercare) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    claimed = await care.refiller.claim(care.line.provider)
    assert claimed is not None
    await care.refiller.send(care.line.adapter, care.line.provider, *claimed)
    before = await care.row(refill)
    await care.line.panel.kill()
    await care.refiller.send(care.line.adapter, care.line.provider, *claimed)
    assert await care.row(refill) == before


async def test_the_claim_is_committed_before_the_panel_hears_of_the_refill(
    care: Aftercare,
) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    await care.fail("refill", "hang-before")
    sending = asyncio.create_task(care.send())
    async with asyncio.timeout(10):
        while not await care.calls("refill"):
            await asyncio.sleep(0.005)
    assert await care.state(refill) == "sending"
    busy = await care.line.pool.fetchval(
        "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
        " and datname = current_database()"
    )
    assert busy == 0
    await sending
    assert await care.state(refill) == "unknown"


async def test_parallel_requests_make_one_refill(care: Aftercare) -> None:
    [order] = await care.completed(faulty())
    done = await asyncio.gather(*(care.request(order) for _ in range(50)))
    assert sum(len(one.made) for one in done) == 1
    refused = [one.refused[order] for one in done if one.refused]
    assert refused == [wire.REFILL_OPEN] * 49
    assert await care.line.pool.fetchval("select count(*) from refill") == 1


async def test_senders_at_the_same_time_share_the_refills(care: Aftercare) -> None:
    orders = await care.completed(*[faulty(name=str(n)) for n in range(20)])
    made = (await care.request(*orders)).made
    claims = await asyncio.gather(
        *(care.refiller.claim(care.line.provider) for _ in range(len(orders) + 5))
    )
    assert sorted(claim[0].id for claim in claims if claim) == sorted(made.values())


async def test_the_database_refuses_a_second_open_refill(care: Aftercare, pool: Pool) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    for state in ("requested", "sending", "unknown", "placed", "in_progress"):
        await pool.execute("update refill set state = $2 where id = $1", refill, state)
        with pytest.raises(asyncpg.UniqueViolationError, match="refill_one_open"):
            await pool.execute(
                "insert into refill (order_id, reseller_id, provider_id, upstream_order)"
                " values ($1, 1, 1, '1')",
                order,
            )


async def test_an_order_that_is_corrected_while_it_is_refilled_leaves_the_books_right(
    care: Aftercare,
) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    await care.send()
    before = await care.line.row(order)
    upstream = int(before["upstream_id"])
    await care.line.panel.control("order", {"order": upstream, "status": "Canceled"})
    await care.line.poll()
    after = await care.line.row(order)
    assert (after["state"], after["ended_at"]) == ("canceled", before["ended_at"])
    await care.line.world.assert_sound()
    assert (await care.request(order)).refused == {order: wire.NOT_COMPLETED}
    await care.line.panel.control("advance", {"work": 1})
    await care.follow()
    assert await care.state(refill) == "completed"


async def test_a_panel_that_does_not_answer_changes_nothing(care: Aftercare) -> None:
    orders = await care.completed(*[faulty(name=str(n)) for n in range(3)])
    made = (await care.request(*orders)).made
    await care.send()
    await care.line.panel.control("advance", {"work": 1})
    await care.fail("refill_status", "html-before")
    assert await care.follow() == 3
    assert {await care.state(refill) for refill in made.values()} == {"placed"}
    assert await care.follow() == 3
    assert {await care.state(refill) for refill in made.values()} == {"completed"}
    assert await care.calls("refill_status") == 2


async def test_an_operator_ends_a_refill_that_nobody_knows_of(care: Aftercare) -> None:
    [order] = await care.completed(faulty())
    refill = await care.refill(order)
    with pytest.raises(UserError, match="refill list"):
        await close_refill(care.line.pool, refill, RefillState.REJECTED, BY_TEST)
    await care.fail("refill", "reset-before")
    await care.send()
    await close_refill(care.line.pool, refill, RefillState.REJECTED, BY_TEST)
    row = await care.row(refill)
    assert (row["state"], row["reason"]) == ("rejected", BY_TEST.reason)
    assert await care.refill(order) > refill
    await care.line.world.assert_sound()
