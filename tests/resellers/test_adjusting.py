"""Credits and corrections: an entry with its reason, once, and a second operator for large ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from gateway.errors import UserError
from gateway.operators.acting import AlreadyDone
from gateway.resellers import adjusting
from gateway.resellers.adjusting import decide, move_money
from gateway.store import confirmations
from gateway.store.connection import CommitInDoubt, Connection, Pool, RolledBack, transaction
from schemas.money import UNIT
from schemas.money_moves import ConfirmationState, MoneyCause, MoneyMove
from schemas.operators import Actor, Role, Warrant
from tests.world import BY_TEST, World

OTHER = Warrant(Actor("other", Role.MANAGER), "seen the receipt")


def _correction(amount: int) -> MoneyMove:
    return MoneyMove("acme", MoneyCause.CORRECTION, amount)


async def test_a_balance_is_corrected_up_and_down_with_its_reason(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="10")
    for amount in (-4 * UNIT, UNIT):
        await move_money(pool, _correction(amount), BY_TEST, confirm_above=None)
    assert await world.balance(customer) == 7 * UNIT
    async with pool.acquire() as conn:
        rows = await conn.fetch("select source, destination, note from entry order by position")
    assert [tuple(row) for row in rows[1:]] == [
        ("reseller", "corrections", BY_TEST.reason),
        ("corrections", "reseller", BY_TEST.reason),
    ]
    await world.assert_sound()


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("asks", [True, False])
async def test_a_credit_whose_commit_got_no_answer_is_given_once(
    world: World, pool: Pool, monkeypatch: pytest.MonkeyPatch, *, asks: bool, committed: bool
) -> None:
    customer = await world.reseller(funds="10")
    tries = 0

    @asynccontextmanager
    async def unanswered(conn: Connection) -> AsyncIterator[None]:
        nonlocal tries
        tries += 1
        if tries > 1:
            async with transaction(conn):
                yield
            return
        with suppress(RolledBack):
            async with transaction(conn):
                yield
                if not committed:
                    raise RolledBack
        raise CommitInDoubt

    monkeypatch.setattr(adjusting, "transaction", unanswered)
    move = MoneyMove("acme", MoneyCause.TOPUP, 5 * UNIT)
    limit = UNIT if asks else None
    done = await move_money(pool, move, BY_TEST, confirm_above=limit)
    assert tries == 2
    if asks:
        async with pool.acquire() as conn:
            [waiting] = await confirmations.list_confirmations(conn, waiting=True, limit=5)
        assert waiting.id == done
    assert await world.balance(customer) == (10 if asks else 15) * UNIT
    await world.assert_sound()


async def test_no_more_is_taken_than_there_is(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="10")
    with pytest.raises(UserError, match=r"only 10\.00 USD left"):
        await move_money(pool, _correction(-10 * UNIT - 1), BY_TEST, confirm_above=None)
    with pytest.raises(UserError, match="not be 0"):
        await move_money(pool, _correction(0), BY_TEST, confirm_above=None)
    with pytest.raises(UserError, match="above 0"):
        await world.credit("acme", -1)
    assert await world.balance(customer) == 10 * UNIT
    await world.assert_sound()


async def test_a_double_click_moves_the_money_once(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="0")
    once = replace(BY_TEST, request="form-1")

    async def click() -> bool:
        try:
            await move_money(pool, _correction(5), once, confirm_above=None)
        except AlreadyDone:
            return False
        return True

    assert sum(await asyncio.gather(*(click() for _ in range(6)))) == 1
    assert await world.balance(customer) == 5
    await world.assert_sound()


@pytest.mark.parametrize("cause", list(MoneyCause))
async def test_what_is_above_the_limit_needs_two_operators(
    world: World, pool: Pool, cause: MoneyCause
) -> None:
    customer = await world.reseller(funds="0")
    move = MoneyMove("acme", cause, 6 * UNIT)
    asking = replace(BY_TEST, request="form-1")
    number = await move_money(pool, move, asking, confirm_above=5 * UNIT)
    assert isinstance(number, int)
    with pytest.raises(AlreadyDone):
        await move_money(pool, move, asking, confirm_above=5 * UNIT)
    assert await world.balance(customer) == 0
    with pytest.raises(UserError, match="another operator"):
        await decide(pool, number, BY_TEST, confirmed=True)
    done = await asyncio.gather(*(decide(pool, number, OTHER, confirmed=True) for _ in range(4)))
    assert {one.state for one in done} == {ConfirmationState.CONFIRMED}
    assert await world.balance(customer) == 6 * UNIT
    with pytest.raises(UserError, match="was confirmed by other"):
        await decide(pool, number, OTHER, confirmed=False)
    async with pool.acquire() as conn:
        note = await conn.fetchval("select note from entry")
        assert await confirmations.list_confirmations(conn, waiting=True, limit=9) == []
    assert note == BY_TEST.reason
    await world.assert_sound()


async def test_what_is_declined_stays_where_it_is(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="10")
    number = await move_money(pool, _correction(-9 * UNIT), BY_TEST, confirm_above=UNIT)
    assert isinstance(number, int)
    await decide(pool, number, BY_TEST, confirmed=False)
    with pytest.raises(UserError, match="was declined"):
        await decide(pool, number, OTHER, confirmed=True)
    assert await world.balance(customer) == 10 * UNIT


async def test_money_wants_a_reason(world: World, pool: Pool) -> None:
    await world.reseller()
    with pytest.raises(UserError, match="say why"):
        await move_money(pool, _correction(1), Warrant(BY_TEST.actor), confirm_above=None)
