"""Leases: what becomes of orders whose sender is slow, stopped or dead."""

import asyncio

import asyncpg
import pytest

from gateway.orders.dispatch import LATE_MS, freeze_forgotten, lease_ms
from gateway.orders.failover import Outcome, Ways, after_attempt, retry_in
from gateway.store.connection import Pool
from providers.errors import Ambiguous, Rejected, Unavailable
from providers.panel_v2 import PanelV2
from schemas.config import DispatchSettings
from schemas.orders import AttemptState, ClaimedOrder, OrderState
from schemas.upstream import Exchange, Placed, RefusalGroup
from tests.conftest import eventually
from tests.orders.line import DISPATCH, Line, faulty, open_line
from tests.orders.making import an_order
from tests.sandbox_process import SandboxProcess
from tests.world import World

_EXCHANGE = Exchange(sent=True, elapsed_ms=1)


async def _end_lease(line: Line, number: int) -> None:
    async with line.pool.acquire() as conn:
        await conn.execute("update orders set next_at = now() where id = $1", number)


async def _claim_one(line: Line) -> tuple[ClaimedOrder, float]:
    claim = await line.sender.claim(line.provider, 1)
    [order] = claim.orders
    return order, claim.at


async def test_an_order_whose_sender_died_becomes_unknown_and_is_not_sent_again(
    line: Line,
) -> None:
    link = faulty()
    [number] = await line.place(link)
    await line.sender.claim(line.provider, 1)
    assert await freeze_forgotten(line.pool) == 0
    await _end_lease(line, number)
    assert await freeze_forgotten(line.pool) == 1
    assert await freeze_forgotten(line.pool) == 0
    assert await line.send() == []
    assert (await line.row(number))["state"] == OrderState.UNKNOWN
    assert await line.attempts(number) == [AttemptState.UNKNOWN]
    assert line.upstream_requests(link) == 0
    await line.world.assert_sound()


@pytest.mark.parametrize(
    ("fault", "state", "attempt", "upstream_orders"),
    [
        ("slow-after:1", OrderState.PLACED, AttemptState.PLACED, 1),
        ("reset-after", OrderState.UNKNOWN, AttemptState.UNKNOWN, 1),
        ("no-funds", OrderState.QUEUED, AttemptState.REJECTED, 0),
        ("too-many", OrderState.QUEUED, AttemptState.NOT_SENT, 0),
    ],
)
async def test_an_answer_after_the_lease_still_counts(
    line: Line, fault: str, state: OrderState, attempt: AttemptState, upstream_orders: int
) -> None:
    link = faulty(fault)
    [number] = await line.place(link)
    order, at = await _claim_one(line)
    await _end_lease(line, number)
    await freeze_forgotten(line.pool)
    await line.sender.send(line.adapter, line.provider, order, at)
    row = await line.row(number)
    assert (row["state"], row["refunded"]) == (state, 0)
    assert await line.attempts(number) == [attempt]
    assert line.upstream_orders(link) == upstream_orders
    await line.world.assert_sound()


async def test_a_late_refusal_ends_the_order_without_asking_again(line: Line) -> None:
    link = faulty("refuse")
    [number] = await line.place(link)
    order, at = await _claim_one(line)
    await _end_lease(line, number)
    await freeze_forgotten(line.pool)
    await line.sender.send(line.adapter, line.provider, order, at)
    assert (await line.row(number))["state"] == OrderState.FAILED
    assert await line.history(number) == [
        "claimed",
        "lease_over",
        "refused_order",
        "upstream_refused",
    ]
    assert line.upstream_requests(link) == 1
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_a_second_answer_to_one_attempt_changes_nothing(line: Line) -> None:
    [number] = await line.place(faulty())
    order, at = await _claim_one(line)
    await line.sender.send(line.adapter, line.provider, order, at)
    before = await line.row(number)
    await line.panel.kill()
    await line.sender.send(line.adapter, line.provider, order, at)
    assert await line.row(number) == before
    assert await line.attempts(number) == [AttemptState.PLACED]
    await line.world.assert_sound()


async def test_a_sender_that_was_stopped_after_its_claim_does_not_send(
    world: World, sandbox: SandboxProcess
) -> None:
    now = [1_000.0]
    async with open_line(world, sandbox, clock=lambda: now[0]) as line:
        link = faulty()
        [number] = await line.place(link)
        order, at = await _claim_one(line)
        now[0] += LATE_MS / 1000 + 0.001
        await line.sender.send(line.adapter, line.provider, order, at)
        assert line.upstream_requests(link) == 0
        assert (await line.row(number))["state"] == OrderState.QUEUED
        assert await line.attempts(number) == [AttemptState.NOT_SENT]
        order, at = await eventually(lambda: _try_claim(line))
        now[0] += LATE_MS / 1000
        await line.sender.send(line.adapter, line.provider, order, at)
        assert (await line.row(number))["state"] == OrderState.PLACED
        assert line.upstream_orders(link) == 1
        await world.assert_sound()


async def _try_claim(line: Line) -> tuple[ClaimedOrder, float] | None:
    claim = await line.sender.claim(line.provider, 1)
    return (claim.orders[0], claim.at) if claim.orders else None


def test_a_lease_outlasts_the_latest_possible_answer() -> None:
    for timeout in (100, 3_000, 60_000, 600_000):
        settings = DispatchSettings(timeout_ms=timeout, connect_timeout_ms=50)
        assert lease_ms(settings) > timeout + LATE_MS


async def test_the_database_refuses_a_second_live_attempt(line: Line, pool: Pool) -> None:
    [number] = await line.placed(faulty())
    async with pool.acquire() as conn:
        for state in ("intent", "placed", "unknown"):
            with pytest.raises(asyncpg.UniqueViolationError, match="unique"):
                await conn.execute(
                    "insert into attempt (order_id, number, provider_id, upstream_service, state)"
                    " values ($1, 2, 1, '1', $2)",
                    number,
                    state,
                )


@pytest.mark.parametrize("fault", ["slow-after:1", "reset-after"])
async def test_an_order_put_back_by_mistake_cannot_be_claimed_while_it_may_run(
    line: Line, pool: Pool, fault: str
) -> None:
    link = faulty(fault)
    [number] = await line.place(link)
    await line.send()
    async with pool.acquire() as conn:
        await conn.execute("update orders set state = 'queued', next_at = now()")
    with pytest.raises(asyncpg.UniqueViolationError):
        await line.send()
    assert (await line.row(number))["attempts"] == 1
    assert line.upstream_requests(link) == 1


async def _end_waiting(pool: Pool) -> bool:
    """Break the connections that wait for a lock; whether there were any."""
    async with pool.acquire() as conn:
        ended = await conn.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
    return bool(ended)


async def test_an_answer_is_recorded_although_the_database_broke_off(
    line: Line, pool: Pool
) -> None:
    link = faulty()
    [number] = await line.place(link)
    order, at = await _claim_one(line)
    async with pool.acquire() as conn:
        await conn.execute("begin")
        await conn.execute("select from orders where id = $1 for update", number)
        sending = asyncio.create_task(line.sender.send(line.adapter, line.provider, order, at))
        await eventually(lambda: _end_waiting(pool))
        await conn.execute("commit")
    await sending
    assert (await line.row(number))["state"] == OrderState.PLACED
    assert line.upstream_requests(link) == 1
    await line.world.assert_sound()


class _Defective(PanelV2):
    """An adapter with a defect that shows after the request was sent."""

    def parse_order_id(self, payload: object) -> str:
        return str(1 // 0)


async def test_a_defect_of_an_adapter_leaves_the_order_in_doubt(line: Line) -> None:
    link = faulty()
    [number] = await line.place(link)
    assert isinstance(line.adapter, PanelV2)
    defective = _Defective(line.adapter._account, line.adapter._transport)
    order, at = await _claim_one(line)
    await line.sender.send(defective, line.provider, order, at)
    assert (await line.row(number))["state"] == OrderState.UNKNOWN
    assert line.upstream_orders(link) == 1
    assert line.panel.key not in str(await line.attempts(number))
    await line.world.assert_sound()


@pytest.mark.parametrize(
    ("state", "outcome", "to", "refund"),
    [
        (OrderState.SENDING, Placed("9", _EXCHANGE), OrderState.PLACED, False),
        (OrderState.SENDING, Rejected("x", RefusalGroup.ORDER), OrderState.FAILED, True),
        (OrderState.SENDING, Rejected("x", RefusalGroup.SERVICE), OrderState.FAILED, True),
        (OrderState.SENDING, Rejected("x", RefusalGroup.ACCOUNT), OrderState.QUEUED, False),
        (OrderState.SENDING, Rejected("x", RefusalGroup.TEMPORARY), OrderState.QUEUED, False),
        (OrderState.SENDING, Unavailable("x"), OrderState.QUEUED, False),
        (OrderState.SENDING, Ambiguous("x"), OrderState.UNKNOWN, False),
        (OrderState.UNKNOWN, Placed("9", _EXCHANGE), OrderState.PLACED, False),
        (OrderState.UNKNOWN, Rejected("x", RefusalGroup.ORDER), OrderState.FAILED, True),
        (OrderState.UNKNOWN, Rejected("x", RefusalGroup.SERVICE), OrderState.FAILED, True),
        (OrderState.UNKNOWN, Rejected("x", RefusalGroup.ACCOUNT), OrderState.QUEUED, False),
        (OrderState.UNKNOWN, Rejected("x", RefusalGroup.TEMPORARY), OrderState.QUEUED, False),
        (OrderState.UNKNOWN, Unavailable("x"), OrderState.QUEUED, False),
        (OrderState.UNKNOWN, Ambiguous("x"), None, False),
    ],
)
def test_each_outcome_leads_where_the_policy_says(
    state: OrderState, outcome: Outcome, to: OrderState | None, refund: bool
) -> None:
    order = an_order(state, upstream_id=None)
    changes = after_attempt(order, outcome, DISPATCH, Ways())
    assert (changes[-1].state if changes else None) == to
    assert sum(change.refund for change in changes) == (order.charge if refund else 0)


def test_orders_that_were_not_taken_are_tried_again_ever_less_often() -> None:
    settings = DispatchSettings(retry_first_ms=15_000, retry_last_ms=900_000)
    waits = [retry_in(settings, attempts) for attempts in (1, 2, 3, 4, 7, 8, 1_000_000)]
    assert waits == [15_000, 30_000, 60_000, 120_000, 900_000, 900_000, 900_000]
