"""A flood: one reseller orders as hard as it can, for as long as it takes to be fair to all."""

import asyncio
import random
from itertools import count

from tests.conftest import eventually
from tests.faults.arena import FLOODER, Arena
from tests.faults.client import Client
from tests.faults.journal import Add, Outcome

_CLIENTS = 100
#: The flood lasts until so many calls of others, and so many of its own orders, were answered.
_OTHERS, _OWN = 150, 300


async def flood(arena: Arena, chance: random.Random) -> None:
    """Far more orders of one reseller than there is room for, beside the load.

    Raises:
        TimeoutError: when others are not answered meanwhile, or nothing of the flood is.
    """
    taken, stopped = 0, asyncio.Event()
    before, mark = arena.load.answered, chance.randrange(10**9)
    numbers, customer, offer = count(1), arena.customers[FLOODER], arena.offer

    async def one(number: int) -> None:
        nonlocal taken
        async with Client(arena.urls, number, customer, arena.journal) as client:
            while not stopped.is_set():
                link = f"https://load.example/{arena.canary}-flood-{mark}-{next(numbers)}"
                least = offer.minimum
                add = Add(customer.id, link, least, price=offer.price(least))
                await client.add(offer.service, add)
                taken += add.outcome is Outcome.OK

    async def fair() -> bool:
        return arena.load.answered >= before + _OTHERS and taken >= _OWN

    clients = [asyncio.create_task(one(number)) for number in range(_CLIENTS)]
    try:
        await eventually(fair, seconds=120)
    finally:
        stopped.set()
        await asyncio.gather(*clients)
