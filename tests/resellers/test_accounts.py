"""Accounts: opening, crediting and changing them."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from gateway.errors import UserError
from gateway.money.ledger import Book
from gateway.resellers import accounts
from gateway.store.connection import Pool, transaction
from schemas.money import MAX_AMOUNT, UNIT
from schemas.resellers import DuplicatePolicy, Reseller
from tests.money.faults import order_row
from tests.world import BY_TEST, PEPPERS, Customer, World


async def test_an_account_opens_empty_in_the_house_currency(pool: Pool) -> None:
    async with pool.acquire() as conn:
        made = await accounts.create_reseller(conn, "acme", "a@example.com", "USD", "USD", BY_TEST)
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
            await accounts.create_reseller(conn, name, email, currency, "USD", BY_TEST)
        assert await conn.fetchval("select count(*) from reseller") == 0


async def test_a_name_is_taken_once(world: World, pool: Pool) -> None:
    await world.reseller("acme")
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="acme already"):
            await accounts.create_reseller(conn, "acme", "b@example.com", "USD", "USD", BY_TEST)
    await world.assert_sound()


async def test_a_credit_is_one_entry_with_its_reason(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="0")
    await world.credit(customer.name, 5, replace(BY_TEST, reason="№ 7"))
    async with pool.acquire() as conn:
        [entry] = await conn.fetch("select * from entry")
    assert await world.balance(customer) == 5
    ends = entry["source"], entry["destination"], entry["amount"]
    assert ends == ("cash:manual", "reseller", 5)
    assert (entry["cause"], entry["note"], entry["balance_after"]) == ("topup", "№ 7", 5)


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1])
async def test_an_amount_out_of_measure_is_refused(world: World, pool: Pool, amount: int) -> None:
    customer = await world.reseller()
    with pytest.raises(UserError, match=r"amount|credit"):
        await world.credit(customer.name, amount)
    assert await world.balance(customer) == 100 * UNIT


async def test_credits_at_the_same_time_add_up(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="0")

    async def credit() -> None:
        await world.credit(customer.name, 7)

    await asyncio.gather(*(credit() for _ in range(25)))
    assert await world.balance(customer) == 175
    await world.assert_sound()


async def test_nobody_is_told_clearly(world: World, pool: Pool) -> None:
    with pytest.raises(UserError, match="there is no reseller ghost"):
        await world.credit("ghost", 1)
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="there is no reseller ghost"):
            await accounts.issue_key(conn, "ghost", PEPPERS, BY_TEST)


def _same(reseller: Reseller) -> Reseller:
    return reseller


async def _set_credit_limit(pool: Pool, customer: Customer, limit: int) -> Reseller:
    async with pool.acquire() as conn:
        return await accounts.change_reseller(
            conn, customer.name, _same, BY_TEST, credit_limit=limit
        )


async def _buy(pool: Pool, customer: Customer, number: int, price: int) -> bool:
    async with pool.acquire() as conn, transaction(conn):
        book = await Book.open(conn, [customer.id])
        if not book.charge(customer.id, price, number):
            return False
        await order_row(conn, customer, number, price)
        await book.write(conn)
    return True


async def test_settings_are_kept_and_the_rest_of_the_account_is_not_touched(
    world: World, pool: Pool
) -> None:
    customer, other = await world.reseller(), await world.reseller("other")
    async with pool.acquire() as conn:
        before = await accounts.find_reseller(conn, customer.name)
        wanted = replace(
            before,
            suspended=True,
            suspended_reason="unpaid",
            request_limit=20,
            duplicates=DuplicatePolicy.REJECT_ACTIVE_LINK,
            text_ids=True,
            post_only=True,
        )
        changed = await accounts.change_reseller(conn, customer.name, lambda _: wanted, BY_TEST)
        assert changed == wanted == await accounts.find_reseller(conn, customer.name)
        assert not (await accounts.find_reseller(conn, other.name)).suspended
        assert (
            await accounts.change_reseller(conn, customer.name, lambda _: before, BY_TEST) == before
        )
    await world.assert_sound()


async def test_a_credit_limit_lets_a_reseller_owe_so_much_and_no_more(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="1")
    assert not await _buy(pool, customer, 1, 3 * UNIT)
    assert (await _set_credit_limit(pool, customer, 2 * UNIT)).floor == -2 * UNIT
    assert await _buy(pool, customer, 1, 3 * UNIT)
    assert not await _buy(pool, customer, 2, 1)
    assert await world.balance(customer) == -2 * UNIT
    await world.assert_sound()


async def test_a_credit_limit_below_what_is_owed_is_refused_and_says_how_much(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="0")
    await _set_credit_limit(pool, customer, 2 * UNIT)
    assert await _buy(pool, customer, 1, UNIT + 500_000)
    for limit in (0, UNIT + 499_999):
        with pytest.raises(UserError, match=r"acme owes 1\.50 USD"):
            await _set_credit_limit(pool, customer, limit)
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="owes"):
            await accounts.change_reseller(
                conn, customer.name, lambda r: replace(r, suspended=True), BY_TEST, credit_limit=0
            )
        assert not (await accounts.find_reseller(conn, customer.name)).suspended
    assert (await _set_credit_limit(pool, customer, UNIT + 500_000)).floor == -UNIT - 500_000
    await world.assert_sound()
    async with pool.acquire() as conn:
        await world.credit(customer.name, 2 * UNIT)
    assert (await _set_credit_limit(pool, customer, 0)).floor == 0
    await world.assert_sound()


async def test_credit_limits_that_move_while_orders_come_in_keep_the_floor(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="0")
    await _set_credit_limit(pool, customer, 10 * UNIT)
    refused = 0

    async def lower(limit: int) -> None:
        nonlocal refused
        try:
            await _set_credit_limit(pool, customer, limit)
        except UserError:
            refused += 1

    orders = [_buy(pool, customer, number, UNIT) for number in range(1, 21)]
    limits = [lower(limit * UNIT) for limit in range(10, 0, -1)]
    both = [work for pair in zip(orders, limits, strict=False) for work in pair]
    await asyncio.gather(*both, *orders[len(limits) :])
    await world.assert_sound()
    async with pool.acquire() as conn:
        left = await accounts.find_reseller(conn, customer.name)
    assert left.floor <= left.balance < 0
    assert refused


@pytest.mark.parametrize(
    "values",
    [
        "request_limit = -1",
        "request_limit = 1000001",
        "duplicates = 'maybe'",
        "suspended_reason = 'a reason without a suspension'",
    ],
)
async def test_the_database_refuses_settings_that_cannot_be(
    world: World, pool: Pool, values: str
) -> None:
    await world.reseller()
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(f"update reseller set {values}")
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute("update api_key set scope = 'all'")


async def test_a_key_or_account_that_does_not_exist_cannot_be_changed(pool: Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(UserError, match="there is no key 77"):
            await accounts.change_key(conn, 77, lambda terms: terms, BY_TEST)
        with pytest.raises(UserError, match="there is no reseller ghost"):
            await accounts.change_reseller(conn, "ghost", _same, BY_TEST)
