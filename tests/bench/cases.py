"""What is measured: each case with its calls, the answers that are right, and its target."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.bench.stage import OWN_PRICES
from tests.world import Customer

ADD = "add, 200 resellers"
ADD_ONE = "add, 1 reseller"
_VARIETY = 64
#: No two orders that are on their way at the same time are identical.
_ORDERS = 20_000


@dataclass(frozen=True, slots=True)
class Case:
    """Calls of one kind; ``target`` is the least share of the bare handler's answers a second."""

    name: str
    target: float
    bodies: list[str]
    starts: str
    ends: str


def call(customer: Customer, action: str, **parameters: object) -> str:
    """A call as a form."""
    return urlencode({"key": customer.key, "action": action} | parameters)


def add(customer: Customer, service: int, number: int) -> str:
    """An order as clients place them."""
    link = f"https://www.instagram.com/p/C{number:08d}/"
    return call(customer, "add", service=service, link=link, quantity=1000 + number % 100)


def all_cases(resellers: Sequence[Customer], service: int, orders: Sequence[int]) -> list[Case]:
    """The cases; ``orders`` are some of the first reseller's."""
    first = resellers[0]
    chosen = random.Random(1)
    hundreds = [chosen.sample(orders, 100) for _ in range(_VARIETY)]
    placed = '{"order":'
    return [
        Case(
            ADD,
            0.30,
            [add(chosen.choice(resellers), service, n) for n in range(_ORDERS)],
            placed,
            "}",
        ),
        Case(
            ADD_ONE,
            0.30,
            [add(first, service, n) for n in range(_ORDERS)],
            placed,
            "}",
        ),
        Case(
            "balance",
            0.45,
            [call(reseller, "balance") for reseller in resellers],
            '{"balance":"',
            '"}',
        ),
        Case(
            "status",
            0.45,
            [call(first, "status", order=order) for order in orders],
            '{"charge":"',
            '"currency":"USD"}',
        ),
        Case("services, 10,000 rows", 0.80, [call(first, "services")], '[{"service":', "}]"),
        Case(
            "services, 10,000 rows, own prices",
            0.80,
            [call(reseller, "services") for reseller in resellers[-OWN_PRICES:]],
            '[{"service":',
            "}]",
        ),
        Case(
            "status of 100",
            0.70,
            [call(first, "status", orders=",".join(map(str, hundred))) for hundred in hundreds],
            '{"',
            '"currency":"USD"}}',
        ),
    ]
