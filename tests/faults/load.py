"""Clients that place orders as fast as they are answered, and log what each was told.

The log is written before an ``add`` leaves and again when its outcome is known. A link carries a
nonce, so one acceptance upstream is one ``add`` of ours.
"""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any, Self

import aiohttp

from tests.conftest import eventually
from tests.panel_client import PanelClient
from tests.world import Customer

#: What the panel makes of an order, by the shares of the orders that get it; "" is an honest one.
_FATES = {"": 84, "partial:40": 5, "cancel": 5, "refuse": 3, "refuse:Quantity less than minimal": 3}


class Outcome(StrEnum):
    """What a client knows after an ``add``."""

    OK = "ok"  # it was given an id: the order must exist, once
    FAIL = "fail"  # it was refused, or nothing was sent: no order may exist
    UNKNOWN = "unknown"  # no answer: an order may exist, once


@dataclass(slots=True)
class Add:
    """One ``add``: what was sent, and its outcome, None while it is on the wire."""

    reseller_id: int
    link: str
    quantity: int
    outcome: Outcome | None = None
    order_id: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """The service that is ordered."""

    service: int
    minimum: int


class Load:
    """Clients on keep-alive connections; ``async with`` starts them and waits for their ends.

    They stop by themselves after ``most`` orders, and rest while the gateway is away. The first
    ``blind`` of them order again, without a name, whatever was not answered.
    Each gives up waiting for an answer after ``patience`` seconds.
    """

    def __init__(
        self,
        url: str,
        customers: Sequence[Customer],
        offer: Offer,
        *,
        seed: int,
        most: int,
        longest_thought: float,
        blind: int = 0,
        patience: float | None = None,
    ) -> None:
        self.retries = 0
        self._patience = patience
        self._blind = blind
        self.adds: list[Add] = []
        self._url = url
        self._customers = customers
        self._offer = offer
        self._seed = seed
        self._most = most
        self._longest_thought = longest_thought
        self._numbers = count(1)
        self._up = asyncio.Event()
        self._stopped = False
        self._clients: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._clients = [
            asyncio.create_task(
                self._client(
                    customer,
                    random.Random(f"{self._seed}-{number}"),
                    blind=number < self._blind,
                )
            )
            for number, customer in enumerate(self._customers)
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stopped = True
        self._up.set()
        await asyncio.gather(*self._clients)

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

    async def _client(self, customer: Customer, chance: random.Random, *, blind: bool) -> None:
        async with PanelClient(self._url, customer.key, patience=self._patience) as panel:
            while True:
                await self._up.wait()
                if self._stopped or len(self.adds) >= self._most:
                    return
                add = self._drawn(customer, chance, blind=blind)
                self.adds.append(add)
                await self._add(panel, add)
                while blind and add.outcome is Outcome.UNKNOWN:
                    await self._up.wait()
                    self.retries += 1
                    await self._add(panel, add)
                await asyncio.sleep(chance.uniform(0, self._longest_thought))

    def _drawn(self, customer: Customer, chance: random.Random, *, blind: bool) -> Add:
        # An order that has ended is not given to a retry: it would be a new one, rightly.
        fate = "stall" if blind else chance.choices(list(_FATES), list(_FATES.values()))[0]
        link = f"https://load.example/{self._seed}-{next(self._numbers)}"
        # Now and then a quantity that the gateway itself refuses.
        least = self._offer.minimum
        quantity = 1 if chance.random() < 0.03 else chance.randint(least, least + 300)
        return Add(customer.id, f"{link}?sandbox={fate}" if fate else link, quantity)

    async def _add(self, panel: PanelClient, add: Add) -> None:
        asked_before, add.outcome = add.outcome, None
        try:
            status, body = await panel.raw(
                "add", service=self._offer.service, link=add.link, quantity=add.quantity
            )
        except aiohttp.ClientConnectorError as error:
            # What was sent before may still have become an order.
            add.outcome = asked_before or Outcome.FAIL
            add.said = f"not sent: {type(error).__name__}"
            self._up.clear()
        except (aiohttp.ClientError, OSError) as error:
            add.outcome, add.said = Outcome.UNKNOWN, type(error).__name__
        else:
            _conclude(add, status, json.loads(body))


def _conclude(add: Add, status: int, answer: dict[str, Any]) -> None:
    add.said = f"{status} {answer}"
    if status != 200:
        add.outcome = Outcome.UNKNOWN
    elif set(answer) == {"order"}:
        add.outcome, add.order_id = Outcome.OK, answer["order"]
    else:
        add.outcome = Outcome.FAIL
