"""The book: balances that many tasks move at once, and entries that nobody can change."""

import asyncio
import random

import asyncpg
import pytest

from gateway.money.ledger import Book, LedgerConflict
from gateway.store.connection import Pool, transaction
from schemas.ledger import Balance
from schemas.money import UNIT
from tests.money.faults import order_row
from tests.world import Customer, World

_FUNDS = 100 * UNIT


def _book(amount: int, floor: int = 0) -> Book:
    return Book([Balance(1, amount, floor, 0)])


def test_a_charge_that_leaves_exactly_the_floor_is_taken() -> None:
    book = _book(100)
    assert book.charge(1, 100, 7)
    assert book.balance(1) == 0


def test_a_charge_below_the_floor_is_refused_and_moves_nothing() -> None:
    book = _book(100)
    assert not book.charge(1, 101, 7)
    assert book.balance(1) == 100
    assert book.entries == []


def test_a_credit_limit_is_a_floor_below_zero() -> None:
    book = _book(0, floor=-50)
    assert book.charge(1, 50, 7)
    assert not book.charge(1, 1, 8)
    assert book.balance(1) == -50


def test_a_refused_charge_leaves_room_for_a_smaller_one() -> None:
    book = _book(100)
    assert [book.charge(1, amount, amount) for amount in (60, 50, 40, 1)] == [
        True,
        False,
        True,
        False,
    ]


def test_entries_are_numbered_and_carry_the_balance_after_each() -> None:
    book = Book([Balance(1, 100, 0, 41)])
    book.charge(1, 30, 7)
    book.refund(1, 10, 7, refunded=0)
    book.top_up(1, 5, "manual", "thanks")
    assert [(e.position, e.source, e.destination, e.balance_after) for e in book.entries] == [
        (42, "reseller", "sales", 70),
        (43, "sales", "reseller", 80),
        (44, "cash:manual", "reseller", 85),
    ]


async def _order(pool: Pool, customer: Customer, number: int, price: int) -> bool:
    """Charge for an order and write it, in one transaction; False when funds do not suffice."""
    async with pool.acquire() as conn, transaction(conn):
        book = await Book.open(conn, [customer.id])
        if not book.charge(customer.id, price, number):
            return False
        await order_row(conn, customer, number, price)
        await book.write(conn)
    return True


async def test_many_books_at_once_on_one_reseller_keep_every_invariant(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller(funds="100")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    prices = [random.Random(seed + n).randrange(1, 3 * UNIT) for n in range(150)]
    accepted = await asyncio.gather(
        *(_order(pool, customer, number, price) for number, price in enumerate(prices, 1))
    )
    taken = sum(price for price, ok in zip(prices, accepted, strict=True) if ok)
    left = _FUNDS - taken
    assert await world.balance(customer) == left
    assert 0 < sum(accepted) < len(prices)
    refused = [price for price, ok in zip(prices, accepted, strict=True) if not ok]
    assert min(refused) > left
    await world.assert_sound()


async def test_top_ups_and_charges_at_once_lose_nothing(world: World, pool: Pool) -> None:
    customer = await world.reseller(funds="10")

    async def top_up() -> None:
        await world.credit(customer.name, UNIT)

    charges = [_order(pool, customer, number, 100_000) for number in range(1, 41)]
    accepted = await asyncio.gather(*charges, *(top_up() for _ in range(20)))
    assert accepted[:40] == [True] * 40
    assert await world.balance(customer) == 10 * UNIT + 20 * UNIT - 40 * 100_000
    await world.assert_sound()


async def test_books_on_the_same_resellers_in_any_order_do_not_deadlock(
    world: World, pool: Pool
) -> None:
    customers = [await world.reseller(f"reseller{n}") for n in range(4)]

    async def move(seed: int) -> None:
        ids = [c.id for c in customers]
        random.Random(seed).shuffle(ids)
        async with pool.acquire() as conn, transaction(conn):
            book = await Book.open(conn, ids)
            for id_ in ids:
                book.top_up(id_, 1, "manual", None)
            await book.write(conn)

    await asyncio.gather(*(move(seed) for seed in range(40)))
    assert [await world.balance(c) for c in customers] == [_FUNDS + 40] * 4
    await world.assert_sound()


async def test_a_balance_that_moved_without_its_lock_stops_the_transaction(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        stale = Book([Balance(customer.id, _FUNDS, 0, 0)])
        stale.top_up(customer.id, 1, "manual", None)
        with pytest.raises((LedgerConflict, asyncpg.UniqueViolationError)):
            async with transaction(conn):
                await stale.write(conn)
    assert await world.balance(customer) == _FUNDS
    await world.assert_sound()


async def test_the_database_refuses_a_purchase_below_the_floor_whatever_was_computed(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    mistaken = Book([Balance(customer.id, _FUNDS, -2 * _FUNDS, 1)])
    assert mistaken.charge(customer.id, _FUNDS + 1, 1)
    with pytest.raises(LedgerConflict):
        async with pool.acquire() as conn, transaction(conn):
            await mistaken.write(conn)
    assert await world.balance(customer) == _FUNDS


async def test_one_order_is_charged_once_whatever_the_program_does(
    world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    assert await _order(pool, customer, 1, UNIT)
    async with pool.acquire() as conn:
        await conn.execute("begin")
        book = await Book.open(conn, [customer.id])
        assert book.charge(customer.id, UNIT, 1)
        with pytest.raises(asyncpg.UniqueViolationError, match="entry_once"):
            await book.write(conn)
        await conn.execute("rollback")
    await world.assert_sound()


@pytest.mark.parametrize(
    "statement",
    [
        "update entry set amount = amount + 1",
        "update entry set note = 'nothing'",
        "delete from entry",
        "truncate entry",
        "update order_event set cause = 'other'",
        "delete from order_event",
        "truncate order_event",
        "truncate order_event_0",
        "update order_event_0 set cause = 'other'",
        "delete from order_event_0",
    ],
)
async def test_ledger_and_history_are_append_only_even_for_sql(
    world: World, pool: Pool, statement: str
) -> None:
    customer = await world.reseller()
    await _order(pool, customer, 1, UNIT)
    async with pool.acquire() as conn:
        await conn.execute(
            "insert into order_event values (1, 1, 'queued', 'sending', 'for a test')"
        )
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await conn.execute(statement)


@pytest.mark.parametrize(
    "values",
    [
        "'reseller', 'reseller', 5, 'charge', 1",
        "'sales', 'cash:x', 5, 'charge', 1",
        "'sales', 'reseller', 5, 'charge', 1",
        "'reseller', 'sales', 5, 'refund', 1",
        "'reseller', 'sales', 5, 'charge', null",
        "'cash:x', 'reseller', 5, 'topup', 1",
        "'sales', 'reseller', 5, 'gift', null",
        "'reseller', 'sales', 0, 'charge', 1",
        "'reseller', 'sales', -5, 'charge', 1",
    ],
)
async def test_the_database_knows_which_movements_exist(
    world: World, pool: Pool, values: str
) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(
                "insert into entry (reseller_id, position, balance_after, source, destination,"
                f" amount, cause, order_id) values ({customer.id}, 99, 0, {values})"
            )
