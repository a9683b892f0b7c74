"""What resellers are told is read in groups: many orders are one statement."""

import asyncio
from typing import Any

import asyncpg

from gateway.orders.telling import Teller
from tests.orders.line import Line, faulty


class _Counting(asyncpg.Connection):
    """A real connection that counts the questions which go over it."""

    asked = 0

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        _Counting.asked += 1
        return await super().fetch(*arguments, **options)


async def test_a_hundred_orders_are_told_by_one_statement(line: Line, database_url: str) -> None:
    numbers = await line.place(*(faulty(name=str(n)) for n in range(100)))
    async with asyncpg.create_pool(
        database_url, min_size=1, max_size=1, connection_class=_Counting
    ) as pool:
        teller = Teller(pool)
        _Counting.asked = 0
        told = await teller.orders(line.customer.id, numbers)
        assert sorted(told) == sorted(numbers)
        assert _Counting.asked == 1
        # Callers that come while one statement runs share the next.
        await asyncio.gather(*(teller.orders(line.customer.id, [n]) for n in numbers))
        assert _Counting.asked <= 3
