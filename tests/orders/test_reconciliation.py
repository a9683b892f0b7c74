"""Orders in doubt against a real panel: each is found, or proved absent, or given to a person."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.orders.cancellations import request_cancels, settle_stored_cancels
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.reconciling import judge
from gateway.store.connection import transaction
from schemas.doubts import Finding
from schemas.orders import AttemptState, OrderState
from tests.orders.doubting import Doubting, open_doubting
from tests.orders.line import faulty
from tests.orders.test_drip_feed import deliver, drip, look, run_all, runs_of
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, World


@pytest.fixture(params=[True, False], ids=["listed", "unlisted"])
async def doubting(
    request: pytest.FixtureRequest, world: World, sandbox: SandboxProcess
) -> AsyncIterator[Doubting]:
    """A panel with a list of orders, and one without."""
    async with open_doubting(world, sandbox, listed=request.param) as opened:
        yield opened


@pytest.fixture
async def listing(world: World, sandbox: SandboxProcess) -> AsyncIterator[Doubting]:
    """A panel with a list of orders."""
    async with open_doubting(world, sandbox, listed=True) as opened:
        yield opened


@pytest.fixture
async def silent(world: World, sandbox: SandboxProcess) -> AsyncIterator[Doubting]:
    """A panel without a list of orders."""
    async with open_doubting(world, sandbox, listed=False) as opened:
        yield opened


#: Faults with sizes of which no two add up to another, so that balances tell them apart.
_TAKEN = {"500-after": 1000, "hang-after": 600, "truncated-after:11": 150}
_NOT_TAKEN = {"500-before": 1000, "hang-before": 600, "truncated-before:11": 150}


async def _doubt_each(doubting: Doubting, faults: Mapping[str, int]) -> dict[int, str]:
    """One order in doubt by each fault; their links."""
    await doubting.doubt("500-before")
    made = {}
    for fault, quantity in faults.items():
        link = faulty(name=fault)
        [number] = await doubting.doubt_more(fault, link, quantity=quantity)
        made[number] = link
    return made


async def test_orders_that_were_taken_are_found_or_given_to_a_person(doubting: Doubting) -> None:
    line = doubting.line
    made = await _doubt_each(doubting, _TAKEN)
    await doubting.look_for_long()
    listed = line.adapter.lists_orders
    cause = "found_in_list" if listed else "paid_for_upstream"
    upstream_ids = {one["link"]: str(one["order"]) for one in line.panel.accepted()}
    for number, link in made.items():
        assert await line.history(number) == ["claimed", "answer_lost", cause]
        row = await line.row(number)
        assert row["upstream_id"] == (upstream_ids[link] if listed else None)
        assert (line.upstream_orders(link), line.upstream_requests(link)) == (1, 1)
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    end = OrderState.COMPLETED if listed else OrderState.REVIEW
    assert {await doubting.state(number) for number in made} == {end}
    await line.world.assert_sound()


async def test_orders_that_were_not_taken_are_sent_again_once_that_is_proved(
    doubting: Doubting,
) -> None:
    line = doubting.line
    made = await _doubt_each(doubting, _NOT_TAKEN)
    await doubting.look()
    await doubting.pass_time(14)
    await doubting.look()
    await doubting.look()
    assert {await doubting.state(number) for number in made} == {OrderState.UNKNOWN}
    for _ in range(2):
        await doubting.pass_time(2)
        await doubting.look()
    cause = "absent_from_list" if line.adapter.lists_orders else "absent_by_balance"
    for number in made:
        assert (await line.history(number))[-1] == cause
        assert await line.attempts(number) == [AttemptState.NOT_SENT]
    await line.send()
    for number, link in made.items():
        assert await doubting.state(number) == OrderState.PLACED
        assert (line.upstream_orders(link), line.upstream_requests(link)) == (1, 2)
    await line.world.assert_sound()


async def test_an_answer_cut_off_behind_its_id_names_the_order(silent: Doubting) -> None:
    line, link = silent.line, faulty()
    [number] = await silent.doubt("truncated-after:15", link)
    await silent.look()
    assert (await line.history(number))[-1] == "found_in_answer"
    assert (await line.row(number))["upstream_id"] == str(line.panel.accepted()[-1]["order"])
    assert (await silent.evidence(number))["verdict"] == Finding.PLACED
    await line.world.assert_sound()


async def test_an_id_that_another_order_has_is_not_taken(silent: Doubting) -> None:
    line = silent.line
    [known] = await line.placed(faulty(name="known"))
    taken = (await line.row(known))["upstream_id"]
    [number] = await silent.doubt(f'body-before:{{"order":{taken},"error":"x"}}', faulty())
    await silent.look()
    assert await silent.state(number) == OrderState.UNKNOWN
    await silent.look_for_long()
    # An answer named an order, so nothing proves that there is none.
    assert await silent.state(number) == OrderState.UNKNOWN
    await silent.pass_time(20)
    await silent.look()
    assert await silent.state(number) == OrderState.REVIEW
    await line.world.assert_sound()


async def test_an_id_that_the_upstream_does_not_know_is_not_taken(listing: Doubting) -> None:
    [number] = await listing.doubt('body-before:{"order":77,"error":"x"}', faulty())
    await listing.look_for_long()
    assert await listing.state(number) == OrderState.UNKNOWN
    await listing.pass_time(20)
    await listing.look()
    assert (await listing.line.history(number))[-1] == "not_reconciled"


async def test_twins_are_left_to_a_person(listing: Doubting) -> None:
    line, link = listing.line, faulty()
    first = await listing.doubt("500-after", link)
    second = await listing.doubt_more("500-before", link)
    await listing.look_for_long()
    await listing.pass_time(20)
    await listing.look()
    for number in (*first, *second):
        assert await listing.state(number) == OrderState.REVIEW
    assert line.upstream_requests(link) == 2
    await line.world.assert_sound()


async def test_of_several_orders_each_is_told_apart_by_its_link(listing: Doubting) -> None:
    taken = [faulty(name=f"taken{n}") for n in range(3)]
    lost = [faulty(name=f"lost{n}") for n in range(3)]
    there = await listing.doubt("500-after", *taken)
    absent = await listing.doubt_more("500-before", *lost)
    await listing.look()
    assert {await listing.state(n) for n in there} == {OrderState.PLACED}
    await listing.pass_time(16)
    await listing.look()
    assert {await listing.state(n) for n in absent} == {OrderState.QUEUED}
    await listing.line.send()
    for link in (*taken, *lost):
        assert listing.line.upstream_orders(link) == 1
    await listing.line.world.assert_sound()


async def test_a_list_that_proves_nothing_does_not_acquit(listing: Doubting) -> None:
    line, link = listing.line, faulty()
    [number] = await listing.doubt("500-after", link)
    await listing.look_when_listed("maintenance")
    await listing.pass_time(16)
    for answer in ("[]", '[{"x":1}]', "{}", "null"):
        await listing.look_when_listed(f"body-before:{answer}")
        assert await listing.state(number) == OrderState.UNKNOWN
    await listing.pass_time(20)
    await listing.look_when_listed("body-before:[]")
    assert await listing.state(number) == OrderState.REVIEW
    assert line.upstream_requests(link) == 1
    await line.world.assert_sound()


async def test_a_balance_that_somebody_else_uses_acquits_nobody(silent: Doubting) -> None:
    line = silent.line
    [number] = await silent.doubt("500-before", faulty())
    await line.panel.call("add", service=101, link="https://example.com/other", quantity=300)
    await silent.look_for_long()
    assert await silent.state(number) == OrderState.UNKNOWN
    await silent.pass_time(20)
    await silent.look()
    assert await silent.state(number) == OrderState.REVIEW


@pytest.mark.parametrize("known", [False, True], ids=["unknown to us", "known to us"])
async def test_money_that_came_back_for_another_order_acquits_nobody(
    silent: Doubting, known: bool
) -> None:
    line, link = silent.line, faulty(name="doubtful")
    [number] = await silent.doubt("500-after", link)
    other = line.panel.accepted()[0]["order"]
    await line.panel.control("order", {"order": other, "status": "Canceled"})
    if known:
        await line.poll()
    await silent.look_for_long()
    await silent.pass_time(20)
    await silent.look()
    assert await silent.state(number) == OrderState.REVIEW
    assert line.upstream_requests(link) == 1


async def test_money_that_came_back_for_an_order_in_review_acquits_nobody(silent: Doubting) -> None:
    line, link = silent.line, faulty(name="doubtful")
    await line.placed(faulty(name="failed"))
    [failed] = [record["order"] for record in line.panel.accepted()]
    await line.panel.control("order", {"order": failed, "status": "Fail"})
    await line.poll()
    await silent.pass_time(60)
    async with line.pool.acquire() as conn, transaction(conn):
        await conn.execute("alter table order_event disable trigger append_only")
        await conn.execute("update order_event set at = at - interval '3 hours'")
        await conn.execute("alter table order_event enable trigger append_only")
    [number] = await silent.doubt("500-after", link)
    await line.panel.control("order", {"order": failed, "status": "Canceled"})
    await silent.look_for_long()
    await silent.pass_time(20)
    await silent.look()
    assert await silent.state(number) == OrderState.REVIEW
    assert line.upstream_requests(link) == 1


async def test_nothing_is_ever_sent_to_find_out(listing: Doubting) -> None:
    line = listing.line
    await listing.doubt("500-after", faulty())
    sent = len(line.panel.received())
    await listing.look_for_long()
    await listing.pass_time(60)
    await listing.look()
    assert len(line.panel.received()) == sent


async def test_what_is_in_review_keeps_the_evidence(silent: Doubting) -> None:
    [number] = await silent.doubt("500-after", faulty())
    await silent.look_for_long()
    kept = await silent.evidence(number)
    assert (kept["verdict"], kept["looks"]) == ("review", 3)
    assert '"unexplained": "0.84"' in kept["evidence"]


async def test_a_look_that_dies_before_its_verdict_is_written_is_repeated(
    listing: Doubting,
) -> None:
    line = listing.line
    [number] = await listing.doubt("500-after", faulty())
    await line.pool.execute("update orders set next_at = now() where state = 'unknown'")
    reconciler = listing.reconciler
    verdicts = judge(await reconciler.gather(line.adapter, line.provider))
    assert [v.finding for v in verdicts] == [Finding.PLACED]
    # Killed here: nothing was written, and nobody else is disturbed.
    assert await listing.state(number) == OrderState.UNKNOWN
    await line.world.assert_sound()
    await listing.look()
    assert await listing.state(number) == OrderState.PLACED
    await reconciler.write(line.provider, verdicts[0])
    assert (await line.row(number))["version"] == 3
    await line.world.assert_sound()


async def test_looks_side_by_side_decide_once(listing: Doubting) -> None:
    line = listing.line
    made = await listing.doubt("500-after", *(faulty(name=str(n)) for n in range(5)))
    await asyncio.gather(*(listing.look() for _ in range(6)))
    rows = await line.rows()
    assert {(rows[n]["state"], rows[n]["version"]) for n in made} == {(OrderState.PLACED, 3)}
    await line.world.assert_sound()


async def test_an_order_that_is_found_absent_is_canceled_instead_of_sent_where_that_was_asked(
    listing: Doubting,
) -> None:
    line, link = listing.line, faulty()
    [number] = await listing.doubt("500-before", link)
    await request_cancels(line.pool, BY_TEST, [number])
    await listing.look_for_long()
    assert await listing.state(number) == OrderState.QUEUED
    assert await line.send() == []
    assert await settle_stored_cancels(line.pool) == 1
    row = await line.row(number)
    assert (row["state"], row["refunded"]) == (OrderState.CANCELED, row["charge"])
    assert line.upstream_requests(link) == 1
    await line.world.assert_sound()


async def test_an_order_whose_sender_died_is_reconciled_like_any_other(listing: Doubting) -> None:
    line, link = listing.line, faulty()
    await line.placed(faulty(name="before"))
    [number] = await line.place(link)
    await line.sender.claim(line.provider, 1)
    await line.pool.execute("update orders set next_at = now() where state = 'sending'")
    await freeze_forgotten(line.pool)
    await listing.look_for_long()
    assert await listing.state(number) == OrderState.QUEUED
    await line.send()
    assert line.upstream_orders(link) == 1
    await line.world.assert_sound()


async def test_an_answer_that_comes_after_all_wins_over_a_review(silent: Doubting) -> None:
    line = silent.line
    await line.placed(faulty(name="before"))
    [number] = await line.place(faulty())
    claim = await line.sender.claim(line.provider, 1)
    await line.pool.execute("update orders set next_at = now() where state = 'sending'")
    await freeze_forgotten(line.pool)
    await silent.look()
    await silent.pass_time(60)
    await silent.look()
    assert await silent.state(number) == OrderState.REVIEW
    # The attempt of the sender has become older by as much.
    claimed = claim.orders[0]
    claimed = replace(claimed, started_at=claimed.started_at - timedelta(minutes=60))
    await line.sender.send(line.adapter, line.provider, claimed, claim.at)
    assert await silent.state(number) == OrderState.PLACED
    await line.world.assert_sound()


async def test_a_run_that_was_found_lets_the_next_one_be_made(listing: Doubting) -> None:
    line = listing.line
    await line.placed(faulty(name="before"))
    parent = await drip(line)
    await look(line, hours=1)
    await line.panel.control("faults", {"action": "add", "fault": "500-after"})
    await line.send()
    await look(line, hours=2)
    [run] = await runs_of(line, parent)
    assert run["state"] == OrderState.UNKNOWN
    await listing.look()
    await deliver(line)
    await look(line)
    assert [run["state"] for run in await runs_of(line, parent)] == [
        *(OrderState.COMPLETED, OrderState.QUEUED),
    ]
    await run_all(line, parent, runs=2)
    assert (await line.row(parent))["state"] == OrderState.COMPLETED
    await line.world.assert_sound()


async def test_an_order_that_was_never_handed_to_people_is_handed_over(
    silent: Doubting,
) -> None:
    line = silent.line
    people = replace(line.provider, kind="manual")
    [number] = await line.place(faulty())
    await line.sender.claim(line.provider, 1)
    await line.pool.execute("update orders set next_at = now() where state = 'sending'")
    await freeze_forgotten(line.pool)
    for minutes in (1, 15):
        await silent.pass_time(minutes)
        assert await silent.state(number) == OrderState.UNKNOWN
        await line.pool.execute("update orders set next_at = now() where state = 'unknown'")
        await silent.reconciler.look(line.adapter, people)
    assert (await line.history(number))[-1] == "never_handed_over"
    await line.world.assert_sound()
