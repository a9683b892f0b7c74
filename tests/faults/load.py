"""Resellers' clients: they order, look, cancel and refill as fast as they can, and log it all.

A link carries a nonce, so one acceptance upstream is one ``add`` of ours. What a client does when
its answer is lost is its habit.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Self

from schemas.money import Micros
from tests.conftest import eventually
from tests.faults.client import PATIENCE_SECONDS, Client
from tests.faults.journal import Add, Journal, Outcome
from tests.world import Customer

#: What the panel makes of an order, by the shares of the orders that get it; "" is an honest one.
_FATES = {"": 84, "partial:40": 5, "cancel": 5, "refuse": 3, "refuse:Quantity less than minimal": 3}


class Habit(Enum):
    """What a client does when the answer to an ``add`` does not come."""

    CARELESS = "careless"  # leaves it at that
    BLIND = "blind"  # sends it again, without a name, until it is answered
    NAMED = "named"  # names it, and sends it again under that name
    TWINS = "twins"  # names it, and sends it several times at once, each until it is answered


_TWINS = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """The service that is ordered; ``rate`` is per 1,000."""

    service: int
    minimum: int
    rate: Micros = 0

    def price(self, quantity: int) -> Micros:
        """What a client reckons that so many cost."""
        return -(-self.rate * quantity // 1000)


@dataclass(frozen=True, slots=True)
class Caller:
    """One client. ``looks``: the share of its turns in which it looks, cancels and refills.

    ``alone`` is one that shares its reseller with nobody, and reads its balance around each order,
    none of which is ever refunded.
    """

    customer: Customer
    habit: Habit = Habit.CARELESS
    looks: float = 0.0
    alone: bool = False


@dataclass(slots=True)
class _Turn:
    """One client at work."""

    caller: Caller
    client: Client
    chance: random.Random
    orders: list[int] = field(default_factory=list)


class Load:
    """Clients on keep-alive connections; ``async with`` starts them and waits for their ends.

    They stop by themselves after ``most`` orders. Given one address, they rest while it is away;
    given several, they turn to another. Each gives an answer up after ``patience`` seconds.
    """

    def __init__(
        self,
        urls: Sequence[str],
        callers: Sequence[Caller],
        offer: Offer,
        journal: Journal,
        *,
        seed: object,
        most: int,
        longest_thought: float,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._patience = patience
        self.journal = journal
        self._urls = urls
        self._callers = callers
        self._offer = offer
        self._seed = seed
        self._most = most
        self._longest_thought = longest_thought
        self._numbers = count(1)
        self._up = asyncio.Event()
        self._stopped = False
        self._turns: list[_Turn] = []
        self._clients: list[asyncio.Task[None]] = []

    @property
    def adds(self) -> Sequence[Add]:
        """Every order that was asked for so far."""
        return self.journal.adds

    @property
    def retries(self) -> int:
        """How often an ``add`` was sent again after a lost answer."""
        return sum(turn.client.retries for turn in self._turns)

    @property
    def answered(self) -> int:
        """How many calls have been answered so far."""
        return sum(turn.client.answered for turn in self._turns)

    @property
    def put_off(self) -> int:
        """How many calls have been told to come again, as the gateway could do nothing for them."""
        return sum(turn.client.put_off for turn in self._turns)

    async def __aenter__(self) -> Self:
        for number, caller in enumerate(self._callers):
            chance = random.Random(f"{self._seed}-{number}")
            client = Client(
                self._urls, number, caller.customer, self.journal, self._up, patience=self._patience
            )
            self._turns.append(_Turn(caller, client, chance))
        self._clients = [asyncio.create_task(self._run(turn)) for turn in self._turns]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.stop()
        if kind is not None:
            # Who asks until it is answered might wait for ever for a gateway that is broken.
            for client in self._clients:
                client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=kind is not None)

    def stop(self) -> None:
        """Let the clients end after their present turn."""
        self._stopped = True
        self._up.set()

    def go(self) -> None:
        """The gateway answers: place orders."""
        self._up.set()

    async def rest(self) -> None:
        """The gateway is away: return when every ``add`` on the wire has found that out."""
        self._up.clear()
        await eventually(self._nothing_on_the_wire)

    async def _nothing_on_the_wire(self) -> bool:
        for client in self._clients:
            if client.done():
                client.result()
        return all(add.outcome is not None for add in self.adds)

    async def _run(self, turn: _Turn) -> None:
        async with turn.client:
            while True:
                await self._up.wait()
                if self._stopped or len(self.adds) >= self._most:
                    return
                if turn.orders and turn.chance.random() < turn.caller.looks:
                    await self._look(turn)
                else:
                    await self._order(turn)
                await asyncio.sleep(turn.chance.uniform(0, self._longest_thought))

    async def _order(self, turn: _Turn) -> None:
        caller, client = turn.caller, turn.client
        add = self._drawn(turn)
        if caller.habit is Habit.TWINS:
            twins = [add] + [self._twin_of(add) for _ in range(_TWINS - 1)]
            await asyncio.gather(*(self._until_answered(client, twin) for twin in twins))
        elif caller.habit is Habit.CARELESS:
            await client.add(self._offer.service, add)
        else:
            if caller.alone:
                await client.balance()
            await self._until_answered(client, add)
            if caller.alone:
                await client.balance()
        if add.outcome is Outcome.OK and add.order_id is not None:
            turn.orders.append(add.order_id)

    async def _until_answered(self, client: Client, add: Add) -> None:
        await client.add(self._offer.service, add)
        while add.outcome is Outcome.UNKNOWN or add.said.startswith("not sent"):
            await self._up.wait()
            if add.said.startswith("not sent"):
                await asyncio.sleep(0.05)
            await client.add_again(self._offer.service, add)

    @staticmethod
    def _twin_of(add: Add) -> Add:
        return Add(add.reseller_id, add.link, add.quantity, name=add.name, price=add.price)

    async def _look(self, turn: _Turn) -> None:
        client, chance = turn.client, turn.chance
        recent = turn.orders[-60:]
        match chance.randrange(6):
            case 0:
                await client.balance()
            case 1:
                await client.statuses(chance.sample(recent, min(len(recent), 20)))
            case 2 if not turn.caller.alone:
                await client.request("cancel", chance.choice(recent))
            case 3:
                await client.request("refill", chance.choice(recent))
            case _:
                await client.status(chance.choice(recent))

    def _drawn(self, turn: _Turn) -> Add:
        caller, chance = turn.caller, turn.chance
        # An order that has ended is not given to a retry: it would be a new one, rightly.
        settled = caller.alone or caller.habit is Habit.BLIND
        fate = "stall" if settled else chance.choices(list(_FATES), list(_FATES.values()))[0]
        number = next(self._numbers)
        link = f"https://load.example/{self._seed}-{number}"
        # Now and then a quantity that the gateway itself refuses.
        least = self._offer.minimum
        quantity = 1 if chance.random() < 0.03 else chance.randint(least, least + 300)
        named = caller.habit in (Habit.NAMED, Habit.TWINS)
        return Add(
            caller.customer.id,
            f"{link}?sandbox={fate}" if fate else link,
            quantity,
            name=f"n-{self._seed}-{number}" if named else None,
            price=self._offer.price(quantity),
        )
