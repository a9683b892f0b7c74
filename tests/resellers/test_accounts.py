"""Accounts: opening and crediting them."""

import asyncio

import pytest

from gateway.errors import UserError
from gateway.resellers import accounts
from gateway.store.connection import Pool
from schemas.money import MAX_AMOUNT, UNIT
from tests.world import World


async def test_an_account_opens_empty_in_the_house_currency(pool: Pool) -> None:
    async with pool.acquire() as conn:
        made = await accounts.create_reseller(conn, "acme", "a@example.com", "USD", "USD")
    assert (made.name, made.balance, made.currency, made.suspended) == ("acme", 0, "USD", False)


@pytest.mark.parametrize(
    ("name", "email", "currency"),
    [("acme", "a@example.com", "EUR"), (" ", "a@example.com", "USD"), ("acme", "nobody", "USD")],
)
async def test_what_cannot_be_an_account_is_refused(
    pool: Pool, name: str, email: str, currency: str
) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(UserError):
            await accounts.create_reseller(conn, name, email, currency, "USD")
        assert await conn.fetchval("select count(*) from reseller") == 0


async def test_a_name_is_taken_once(world: World, pool: Pool) -> None:
    await world.reseller("acme")
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="acme already"):
            await accounts.create_reseller(conn, "acme", "b@example.com", "USD", "USD")
    await world.assert_sound()


async def test_a_credit_is_one_entry_with_its_note(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="0")
    async with pool.acquire() as conn:
        credited = await accounts.credit(conn, customer.name, 5, method="wire", note="№ 7")
        [entry] = await conn.fetch("select * from entry")
    assert credited.balance == 5
    assert (entry["source"], entry["destination"], entry["amount"]) == ("cash:wire", "reseller", 5)
    assert (entry["cause"], entry["note"], entry["balance_after"]) == ("topup", "№ 7", 5)


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1])
async def test_an_amount_out_of_measure_is_refused(world: World, pool: Pool, amount: int) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="amount"):
            await accounts.credit(conn, customer.name, amount)
    assert await world.balance(customer) == 100 * UNIT


async def test_credits_at_the_same_time_add_up(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="0")

    async def credit() -> None:
        async with pool.acquire() as conn:
            await accounts.credit(conn, customer.name, 7)

    await asyncio.gather(*(credit() for _ in range(25)))
    assert await world.balance(customer) == 175
    await world.assert_sound()


@pytest.mark.parametrize("call", [accounts.credit, accounts.issue_key])
async def test_nobody_is_told_clearly(pool: Pool, call: object) -> None:
    assert callable(call)
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="there is no reseller ghost"):
            await call(conn, "ghost", 1 if call is accounts.credit else b"pepper")
