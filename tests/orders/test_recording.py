"""Outcomes are recorded in groups, and none of a group suffers for another."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.orders.failover import Outcome
from gateway.orders.recording import Ended, Recorder, in_rounds
from gateway.store.connection import transaction
from providers.errors import Rejected
from schemas.orders import OrderState
from schemas.upstream import Exchange, Placed, RefusalGroup
from tests.conftest import eventually
from tests.orders.line import DISPATCH, Line, faulty

_TOLD = Exchange(sent=True, elapsed_ms=1, status=200)


async def _record(line: Line, outcomes: Sequence[Outcome]) -> list[asyncio.Task[None]]:
    """Claim as many orders as there are outcomes, and record those at the same time."""
    await line.place(*(faulty(name=str(number)) for number in range(len(outcomes))))
    claim = await line.sender.claim(line.provider, len(outcomes))
    recorder = Recorder(line.pool, DISPATCH, line.spool, {})
    claimed = sorted(claim.orders, key=lambda order: order.id)
    return [
        asyncio.create_task(recorder.record(Ended(line.provider, order, outcome)))
        for order, outcome in zip(claimed, outcomes, strict=True)
    ]


async def _states(line: Line) -> list[str]:
    return [row["state"] for _, row in sorted((await line.rows()).items())]


async def test_answers_that_come_together_share_a_transaction(line: Line) -> None:
    await asyncio.gather(*await _record(line, [Placed(str(n), _TOLD) for n in range(20)]))
    assert await _states(line) == [OrderState.PLACED] * 20
    async with line.pool.acquire() as conn:
        transactions = await conn.fetchval(
            "select count(distinct xmin::text) from attempt where state = 'placed'"
        )
    assert transactions <= 2
    await line.world.assert_sound()


async def test_an_id_that_a_panel_gives_twice_sends_the_second_order_alone_to_review(
    line: Line,
) -> None:
    given_ids = ("7", "7", "8")
    await asyncio.gather(*await _record(line, [Placed(id_, _TOLD) for id_ in given_ids]))
    states = await _states(line)
    assert sorted(states[:2]) == [OrderState.PLACED, OrderState.REVIEW]
    assert states[2] == OrderState.PLACED
    await line.world.assert_sound()


async def test_a_balance_that_somebody_holds_keeps_only_its_own_refund_waiting(
    line: Line,
) -> None:
    refused = Rejected("bad link", RefusalGroup.ORDER, _TOLD)
    async with line.pool.acquire() as holder:
        async with transaction(holder):
            await line.place(faulty(name="refused"), faulty(name="placed"))
            await holder.fetch("select from balance for update")
            claim = await line.sender.claim(line.provider, 2)
            recorder = Recorder(line.pool, DISPATCH, line.spool, {})
            first, second = sorted(claim.orders, key=lambda order: order.id)
            tasks = [
                asyncio.create_task(recorder.record(Ended(line.provider, order, outcome)))
                for order, outcome in ((first, refused), (second, Placed("8", _TOLD)))
            ]

            async def placed() -> bool:
                return bool((await line.rows())[second.id]["state"] == OrderState.PLACED)

            await eventually(placed)
            assert (await line.rows())[first.id]["state"] == OrderState.SENDING
        await asyncio.gather(*tasks)
    assert await _states(line) == [OrderState.FAILED, OrderState.PLACED]
    await line.world.assert_sound()


@given(st.lists(st.integers(0, 3), max_size=8))
def test_every_order_moves_in_its_own_order_and_all_last_moves_come_last(
    lengths: list[int],
) -> None:
    moves = [[(order, step) for step in range(n)] for order, n in enumerate(lengths)]
    rounds = in_rounds(moves)
    for order, own in enumerate(moves):
        assert [m for one in rounds for m in one if m[0] == order] == own
    assert not rounds or set(rounds[-1]) == {own[-1] for own in moves if own}
    assert all(len({m[0] for m in one}) == len(one) for one in rounds)
