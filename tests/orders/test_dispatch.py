"""Dispatch to a real panel: what each way of answering an ``add`` makes of the order."""

import asyncio
from collections.abc import Iterable

import pytest

from gateway.store.connection import Pool, transaction
from providers.sandbox.faults import FAULTS
from schemas.orders import AttemptState, OrderState
from tests.conftest import eventually
from tests.orders.fates import CHARGE, FATES, Fate
from tests.orders.line import Line, faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World


def _name(fault: str) -> str:
    return fault.partition(":")[0]


def test_every_fault_of_the_sandbox_has_a_fate() -> None:
    assert {_name(fault) for fault in FATES} == set(FAULTS)


async def _fates(line: Line, faults: Iterable[str]) -> dict[str, Fate]:
    """Send one order for each fault, all at once, and see what became of them."""
    names = {fault: faulty(fault, name=str(n)) for n, fault in enumerate(faults)}
    made = dict(zip(names, await line.place(*names.values()), strict=True))
    claim = await line.sender.claim(line.provider, len(made))
    await asyncio.gather(
        *(line.sender.send(line.adapter, line.provider, o, claim.at) for o in claim.orders)
    )
    rows = await line.rows()
    fates = {}
    for fault, number in made.items():
        [attempt] = await line.attempts(number)
        row = rows[number]
        assert row["charge"] == CHARGE
        fates[fault] = Fate(
            row["state"], attempt, row["refunded"], line.upstream_orders(names[fault])
        )
        assert line.upstream_requests(names[fault]) == 1
    return fates


async def test_every_way_of_answering_an_add_has_its_known_outcome(line: Line) -> None:
    fates = await _fates(line, FATES)
    wrong = {fault: fate for fault, fate in fates.items() if fate != FATES[fault]}
    assert wrong == {}
    kept = sum(1 for fate in FATES.values() if fate.state is not OrderState.FAILED)
    assert await line.spent() == kept * CHARGE
    await line.world.assert_sound()


async def test_what_the_reseller_sees_of_each_outcome(line: Line) -> None:
    links = [faulty(f) for f in ("id:text", "refuse", "no-funds", "reset-after")]
    placed_, refused_, held, unknown = await line.place(*links)
    await line.send()
    for number in (placed_, held, unknown):
        assert await line.told(number) == ("Pending", CHARGE, 1000)
    assert await line.told(refused_) == ("Canceled", 0, 1000)


async def test_the_evidence_of_an_attempt_is_kept_without_the_key(line: Line) -> None:
    [number] = await line.place(faulty("refuse-403:Nobody knows why"))
    await line.send()
    async with line.pool.acquire() as conn:
        attempt = await conn.fetchrow("select * from attempt where order_id = $1", number)
    assert attempt is not None
    assert attempt["http_status"] == 403
    assert "Nobody knows why" in attempt["body"]
    assert "Nobody knows why" in attempt["reason"]
    assert attempt["finished_at"] is not None
    assert line.panel.key not in str(dict(attempt))


async def test_an_account_that_is_known_to_refuse_in_any_words_gives_the_money_back(
    world: World, sandbox: SandboxProcess
) -> None:
    async with open_line(world, sandbox, any_error_is_refusal=True) as line:
        [number] = await line.place(faulty("refuse:Something went wrong"))
        await line.send()
        assert (await line.row(number))["state"] == OrderState.FAILED
        assert await line.spent() == 0
        await world.assert_sound()


async def test_a_text_that_an_operator_taught_is_a_refusal_and_others_are_not(
    world: World, sandbox: SandboxProcess
) -> None:
    taught = {"Computer says no": "order"}
    async with open_line(world, sandbox, known_refusals=taught) as line:
        first, second = await line.place(faulty("refuse:Computer says no"), faulty("refuse:No"))
        await line.send()
        assert (await line.row(first))["state"] == OrderState.FAILED
        assert (await line.row(second))["state"] == OrderState.UNKNOWN


async def test_a_panel_that_cannot_be_reached_gets_the_order_once_it_is_back(line: Line) -> None:
    link = faulty()
    [number] = await line.place(link)
    await line.panel.kill()
    await line.send()
    assert (await line.row(number))["state"] == OrderState.QUEUED
    assert await line.attempts(number) == [AttemptState.NOT_SENT]
    await line.panel.start()
    await _send_until_placed(line, number)
    assert await line.attempts(number) == [AttemptState.NOT_SENT, AttemptState.PLACED]
    assert line.upstream_orders(link) == 1
    assert await line.spent() == CHARGE
    await line.world.assert_sound()


async def _send_until_placed(line: Line, *numbers: int) -> None:
    async with asyncio.timeout(20):
        while {(await line.row(n))["state"] for n in numbers} != {OrderState.PLACED}:
            await line.send()
            await asyncio.sleep(0.01)


async def test_an_unknown_order_is_never_sent_again_nor_refunded(line: Line) -> None:
    links = [faulty("reset-after", name="a"), faulty("500-before", name="b")]
    unknown = await line.place(*links)
    await line.send()
    later = await line.place(*[faulty(name=f"later{n}") for n in range(5)])
    for _ in range(5):
        await line.send()
        await line.poll()
    rows = await line.rows()
    assert [rows[n]["state"] for n in unknown] == [OrderState.UNKNOWN] * 2
    assert [rows[n]["refunded"] for n in unknown] == [0, 0]
    assert [rows[n]["attempts"] for n in unknown] == [1, 1]
    assert {rows[n]["state"] for n in later} == {OrderState.PLACED}
    assert [line.upstream_requests(link) for link in links] == [1, 1]
    await line.world.assert_sound()


async def test_an_upstream_id_that_another_order_has_goes_to_a_person(line: Line) -> None:
    same = 'body-before:{"order":77}'
    first, second = await line.place(faulty(same, name="1"), faulty(same, name="2"))
    await line.send()
    rows = await line.rows()
    assert (rows[first]["state"], rows[first]["upstream_id"]) == (OrderState.PLACED, "77")
    assert (rows[second]["state"], rows[second]["upstream_id"]) == (OrderState.REVIEW, None)
    assert rows[second]["refunded"] == 0
    assert await line.history(second) == ["claimed", "upstream_id_reused"]
    await line.world.assert_sound()


async def test_the_attempt_is_committed_before_the_panel_hears_of_the_order(
    line: Line, pool: Pool
) -> None:
    [number] = await line.place(faulty("hang-before"))
    sending = asyncio.create_task(line.send())
    async with asyncio.timeout(10):
        while not line.panel.received():
            await asyncio.sleep(0.005)
    row = await line.row(number)
    attempts = await line.attempts(number)
    async with pool.acquire() as conn:
        open_transactions = await conn.fetchval(
            "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
            " and datname = current_database()"
        )
    assert (row["state"], row["attempts"]) == (OrderState.SENDING, 1)
    assert attempts == [AttemptState.INTENT]
    assert open_transactions == 0
    await sending
    await line.world.assert_sound()


async def test_sixteen_senders_on_ten_orders_claim_each_once(line: Line) -> None:
    made = await line.place(*[faulty(name=str(n)) for n in range(10)])
    claimed: list[int] = []

    async def sender() -> None:
        # A sender that finds another one claiming comes again.
        while (claim := await line.sender.claim(line.provider, 1)).again is not None:
            claimed.extend(order.id for order in claim.orders)

    await asyncio.gather(*(sender() for _ in range(16)))
    assert sorted(claimed) == sorted(made)
    await line.world.assert_sound()


async def test_what_is_sent_says_nothing_of_the_reseller(line: Line) -> None:
    [number] = await line.place(faulty(), upstream="141", quantity=3)
    await line.send()
    [received] = line.panel.received()
    assert received["parameters"] == {
        "action": "add",
        "service": "141",
        "link": faulty(),
        "comments": "comment 0\ncomment 1\ncomment 2",
    }
    assert (await line.row(number))["state"] == OrderState.PLACED


@pytest.mark.parametrize("quantity", [10, 100_000])
async def test_a_default_order_is_sent_with_its_quantity(line: Line, quantity: int) -> None:
    await line.placed(faulty(), quantity=quantity)
    [accepted] = line.panel.accepted()
    assert accepted["quantity"] == quantity


async def test_a_proof_is_written_down_when_a_balance_is_held_for_long(line: Line) -> None:
    """A refund waits for its balance; what the panel said must not be forgotten meanwhile."""
    [number] = await line.place(faulty("refuse"))
    claim = await line.sender.claim(line.provider, 1)
    async with line.pool.acquire() as conn, transaction(conn):
        await conn.execute("select 1 from balance for update")
        await conn.execute("set local idle_in_transaction_session_timeout = 0")
        sending = asyncio.create_task(
            line.sender.send(line.adapter, line.provider, claim.orders[0], claim.at)
        )
        waits = """select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'"""

        async def waiting() -> bool:
            return bool(await line.pool.fetchval(waits))

        async def given_up() -> bool:
            return not await line.pool.fetchval(waits)

        await eventually(waiting)
        await eventually(given_up)
    await sending
    assert (await line.row(number))["state"] == OrderState.FAILED
    assert await line.spent() == 0
    await line.world.assert_sound()
