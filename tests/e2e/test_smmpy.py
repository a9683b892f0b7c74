"""A public client library, not written by us, follows orders of every type to every end.

What it should pay and get back is worked out here from the catalogue that it was shown, in
fractions, and compared with every balance to the micro-unit.
"""

import asyncio
import importlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any, Protocol, cast

import pytest

from gateway.embedded import Addresses
from tests.application_role import as_application
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.sandbox_process import SandboxProcess
from tests.world import World

MICRO = 10**6


class Client(Protocol):
    """What we use of ``smmpy.smm``, which carries no types."""

    def get_services(self) -> list[dict[str, Any]]: ...
    def get_balance(self) -> dict[str, str]: ...
    def get_status(self, order_id: int) -> dict[str, str]: ...
    def get_multi_status(self, order_ids: list[int]) -> dict[str, dict[str, str]]: ...
    def add_order(
        self, service: int, link: str, quantity: int, comments: str | None = None
    ) -> dict[str, int]: ...
    def create_refill(self, order_id: int) -> dict[str, str]: ...
    def create_multi_refill(self, order_ids: list[int]) -> list[dict[str, Any]]: ...
    def get_refill_status(self, refill_id: int) -> dict[str, str]: ...
    def get_multi_refill_status(self, refill_ids: list[int]) -> list[dict[str, Any]]: ...
    def cancel_orders(self, order_ids: list[int]) -> list[dict[str, Any]]: ...


def smm(url: str, key: str) -> Client:
    """A client of the public library."""
    return cast(Client, importlib.import_module("smmpy").smm(url, key))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One order to place: ``fate`` is how the upstream is told to end it."""

    kind: str
    quantity: int
    fate: str
    end: str

    @property
    def link(self) -> str:
        """The link that tells the sandbox."""
        return f"https://social.example/{self.kind.replace(' ', '-')}?sandbox={self.fate}"

    @property
    def comments(self) -> str | None:
        """A line a piece, for the type that takes them."""
        if self.kind != "Custom Comments":
            return None
        return "\n".join(f"comment {number}" for number in range(self.quantity))


WANTED = [
    Wanted("Default", 1234, "slow-after:1", "Completed"),
    Wanted("Default", 777, "partial:37", "Partial"),
    Wanted("Default", 333, "cancel", "Canceled"),
    Wanted("Package", 1, "slow-after:1", "Completed"),
    Wanted("Package", 1, "cancel", "Canceled"),
    Wanted("Custom Comments", 7, "slow-after:1", "Completed"),
    Wanted("Custom Comments", 11, "partial:50", "Partial"),
    Wanted("Custom Comments", 3, "cancel", "Canceled"),
]


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as its buyer expects it to be."""

    order: int
    wanted: Wanted
    charge: int
    refund: int = 0
    remains: int = 0


def choose(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A service of each type that takes our quantities; the one whose rate has most decimals."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: len(row["rate"].partition(".")[2])):
        wanted = [one.quantity for one in WANTED if one.kind == row["type"]]
        if wanted and (row["type"] == "Package" or int(row["min"]) <= min(wanted)):
            found[row["type"]] = row
    return found


def price(service: dict[str, Any], quantity: int) -> int:
    """Micro-units for an order: the rate buys a thousand pieces, or one package."""
    pieces = Fraction(1) if service["type"] == "Package" else Fraction(quantity, 1000)
    return ceil(Fraction(service["rate"]) * pieces * MICRO)


def micros(text: str) -> int:
    """An amount of an answer in micro-units; it has two to six decimals and says no more."""
    assert re.fullmatch(r"(0|[1-9]\d*)\.\d\d(\d{0,3}[1-9])?", text, re.ASCII), text
    return int(Fraction(text) * MICRO)


@pytest.fixture
def gateway(engines: Addresses, database_url: str, tmp_path: Path) -> GatewayProcess:
    """A gateway on the test's database; the test starts it."""
    return GatewayProcess(as_application(database_url), engines.redis_url, tmp_path / "gateway.log")


async def place(client: Client, services: dict[str, dict[str, Any]], wanted: Wanted) -> Placed:
    """Order one, at the price that the catalogue said."""
    service = services[wanted.kind]
    answer = await asyncio.to_thread(
        client.add_order, service["service"], wanted.link, wanted.quantity, wanted.comments
    )
    assert set(answer) == {"order"}
    return Placed(answer["order"], wanted, price(service, wanted.quantity))


def with_end(placed: Placed, remains: int) -> Placed:
    """What the buyer gets back, given what the upstream left undelivered."""
    refund = {
        "Completed": 0,
        "Partial": floor(Fraction(placed.charge * remains, placed.wanted.quantity)),
        "Canceled": placed.charge,
    }[placed.wanted.end]
    return replace(placed, refund=refund, remains=remains)


async def upstream_remains(sandbox: SandboxProcess, placed: list[Placed]) -> list[int]:
    """What each order left undelivered, as the panel itself has it."""
    found = {row["link"]: row["remains"] for row in await sandbox.control("orders")}
    return [found[one.wanted.link] for one in placed]


def told(placed: Placed) -> dict[str, object]:
    """The status that a buyer must be shown at an order's end, but for the start count."""
    return {
        "charge": placed.charge - placed.refund,
        "status": placed.wanted.end,
        "remains": placed.remains,
        "currency": "USD",
    }


def read(status: dict[str, str]) -> dict[str, object]:
    """A status answer with its numbers read, as ``told`` has them."""
    assert list(status) == ["charge", "start_count", "status", "remains", "currency"]
    assert re.fullmatch(r"\d+", status["start_count"], re.ASCII)
    return {
        "charge": micros(status["charge"]),
        "status": status["status"],
        "remains": int(status["remains"]),
        "currency": status["currency"],
    }


async def test_smmpy_sees_every_order_end_and_every_balance_exact(
    world: World, sandbox: SandboxProcess, gateway: GatewayProcess
) -> None:
    await world.sandbox(sandbox)
    customer = await world.reseller(funds="200")
    async with gateway:
        client = smm(gateway.url, customer.key)
        services = choose(await asyncio.to_thread(client.get_services))
        assert set(services) == {"Default", "Package", "Custom Comments"}
        balance = 200 * MICRO
        placed = []
        for wanted in WANTED:
            placed.append(await place(client, services, wanted))
            balance -= placed[-1].charge
            assert await _balance(client) == balance
        for status in (await _statuses(client, placed)).values():
            assert status["status"] == "Pending"
        await eventually(_all_accepted(sandbox, len(placed)))
        await sandbox.control("advance", {"work": 1})
        await eventually(_ended(client, placed))
        remains = await upstream_remains(sandbox, placed)
        placed = [with_end(*pair) for pair in zip(placed, remains, strict=True)]
        assert await _balance(client) == balance + sum(one.refund for one in placed)
        statuses = await _statuses(client, placed)
        assert list(statuses) == [str(one.order) for one in placed]
        for one in placed:
            assert read(statuses[str(one.order)]) == told(one)
            single = await asyncio.to_thread(client.get_status, one.order)
            assert single == statuses[str(one.order)]
        await _refusals_reach_the_caller(client)
        assert await _balance(client) == balance + sum(one.refund for one in placed)
    partial = [one for one in placed if one.wanted.end == "Partial"]
    assert all(0 < one.remains < one.wanted.quantity for one in partial)
    await world.assert_sound()


async def _balance(client: Client) -> int:
    answer = await asyncio.to_thread(client.get_balance)
    assert list(answer) == ["balance", "currency"]
    assert answer["currency"] == "USD"
    return micros(answer["balance"])


async def _statuses(client: Client, placed: list[Placed]) -> dict[str, dict[str, str]]:
    return await asyncio.to_thread(client.get_multi_status, [one.order for one in placed])


def _all_accepted(sandbox: SandboxProcess, number: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len(sandbox.accepted()) == number

    return check


def _ended(client: Client, placed: list[Placed]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found = await _statuses(client, placed)
        return all(found[str(one.order)]["status"] == one.wanted.end for one in placed)

    return check


async def _refusals_reach_the_caller(client: Client) -> None:
    with pytest.raises(Exception, match=r"^Incorrect order ID$"):
        await asyncio.to_thread(client.get_status, 900_000)
    with pytest.raises(Exception, match=r"^Incorrect service ID$"):
        await asyncio.to_thread(client.add_order, 900_000, "https://social.example/", 100)


async def test_smmpy_refills_what_was_delivered_and_cancels_what_was_not(
    world: World, sandbox: SandboxProcess, gateway: GatewayProcess
) -> None:
    await world.sandbox(sandbox)
    customer = await world.reseller(funds="200")
    gateway.settings["refills"] = {"wait_ms": 0}
    async with gateway:
        client = smm(gateway.url, customer.key)
        rows = await asyncio.to_thread(client.get_services)
        service = next(r for r in rows if r["refill"] and r["cancel"] and r["type"] == "Default")
        orders = [
            (await place(client, {"Default": service}, Wanted("Default", 400 + n, fate, "")))
            for n, fate in enumerate(["slow-after:1", "slow-after:2", "stall"])
        ]
        first, second, running = (one.order for one in orders)
        await eventually(_all_accepted(sandbox, 3))
        for record in sandbox.accepted()[:2]:
            await sandbox.control(
                "order", {"order": record["order"], "status": "Completed", "remains": 0}
            )
        await eventually(_each_is(client, [first, second], "Completed"))
        await _cancels(client, running, [first])
        await _refills(client, sandbox, first, second, running)
        spent = 200 * MICRO - await _balance(client)
        assert spent == orders[0].charge + orders[1].charge
    await world.assert_sound()


def _each_is(client: Client, orders: list[int], word: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found = await asyncio.to_thread(client.get_multi_status, orders)
        return {status["status"] for status in found.values()} == {word}

    return check


async def _cancels(client: Client, running: int, ended: list[int]) -> None:
    taken = await asyncio.to_thread(client.cancel_orders, [running, *ended])
    assert taken == [
        {"order": running, "cancel": 1},
        *({"order": one, "cancel": {"error": "Cancel is not available"}} for one in ended),
    ]
    await eventually(_each_is(client, [running], "Canceled"))


async def _refills(
    client: Client, sandbox: SandboxProcess, first: int, second: int, canceled: int
) -> None:
    single = await asyncio.to_thread(client.create_refill, first)
    assert list(single) == ["refill"]
    one = int(single["refill"])
    many = await asyncio.to_thread(client.create_multi_refill, [second, canceled])
    two = many[0]["refill"]
    assert many == [
        {"order": second, "refill": two},
        {"order": canceled, "refill": {"error": "The order is not completed"}},
    ]
    with pytest.raises(Exception, match=r"^The refill task is not completed for this order$"):
        await asyncio.to_thread(client.create_refill, first)
    assert await asyncio.to_thread(client.get_refill_status, one) == {"status": "Pending"}

    async def sent() -> bool:
        return bool((await sandbox.control("state"))["requests"].get("refill") == 2)

    await eventually(sent)
    await sandbox.control("advance", {"work": 1})

    async def completed() -> bool:
        found = await asyncio.to_thread(client.get_multi_refill_status, [one, two])
        assert [row["refill"] for row in found] == [one, two]
        return {row["status"] for row in found} == {"Completed"}

    await eventually(completed)
