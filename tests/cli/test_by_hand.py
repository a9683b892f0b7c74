"""What people deliver: sold, ordered, and reported on by an operator, all from the outside."""

from typing import Any

import pytest

from schemas.orders import OrderState
from tests.cli.command import Command
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

_SERVICE = ["--category", "By hand", "--rate", "2", "--min", "10", "--max", "1000"]


async def _offer(command: Command, *changes: object) -> dict[str, Any]:
    made: dict[str, Any] = await command.json(
        *("service", "add", "--provider", "people", "--name", "Reviews", "--type", "default"),
        *(*_SERVICE, *changes),
    )
    return made


async def test_orders_are_delivered_by_people_to_the_exact_amount(
    command: Command, world: World, open_gateway: OpenGateway
) -> None:
    added = await command.json("provider", "add", "people", "--kind", "manual")
    assert (added["kind"], added["url"]) == ("manual", "")
    service = await _offer(command, "--cost", "1.5", "--upstream-service", "desk 3")
    assert (service["type"], service["rate"], service["enabled"]) == ("Default", "2.00", True)
    assert [(r["upstream_service"], r["cost"]) for r in service["routes"]] == [("desk 3", "1.50")]
    customer = await world.reseller(funds="10")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        done, part, gone = [
            await client.add(service["service"], 500, f"https://a.example/{n}") for n in range(3)
        ]

        async def placed() -> bool:
            listed = [
                await world.pool.fetchval("select state from orders where id = $1", n)
                for n in (done, part, gone)
            ]
            return set(listed) == {OrderState.PLACED}

        await eventually(placed)
        started = await command.json(
            *("order", "report", done, "--status", "in_progress", "--start-count", 40),
        )
        assert (started["status"], started["start_count"]) == ("In progress", "40")
        reports: tuple[list[object], ...] = (
            ["order", "report", done, "--status", "completed"],
            ["order", "report", part, "--status", "partial", "--remains", 123],
            ["order", "report", gone, "--status", "canceled"],
        )
        for line in reports:
            once = await command.json(*line)
            assert await command.json(*line) == once
        told = await client.call("status", orders=f"{done},{part},{gone}")
        assert [(told[str(n)]["status"], told[str(n)]["charge"]) for n in (done, part, gone)] == [
            ("Completed", "1.00"),
            ("Partial", "0.754"),
            ("Canceled", "0.00"),
        ]
        assert told[str(part)]["remains"] == "123"
    assert await world.balance(customer) == 10_000_000 - 1_000_000 - 754_000
    await world.assert_sound()


async def test_a_report_that_cannot_be_true_is_refused_and_changes_nothing(
    command: Command, world: World, open_gateway: OpenGateway
) -> None:
    await command.json("provider", "add", "people", "--kind", "manual")
    service = await _offer(command)
    customer = await world.reseller(funds="10")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        order = await client.add(service["service"], 500)

        async def placed() -> bool:
            state = await world.pool.fetchval("select state from orders where id = $1", order)
            return bool(state == OrderState.PLACED)

        await eventually(placed)
    impossible: dict[str, list[object]] = {
        "cannot be partial": ["--status", "partial"],
        "1 to 500": ["--status", "partial", "--remains", 501],
        "report partial": ["--status", "completed", "--remains", 500],
    }
    for words, line in impossible.items():
        assert words in (await command.run("order", "report", order, *line)).complaint
    shown = await command.json("order", "show", order)
    assert (shown["state"], shown["remains"]) == ("placed", "500")
    await command.json("order", "report", order, "--status", "partial", "--remains", 100)
    over: dict[str, list[object]] = {
        "is its end": ["in_progress"],
        "cannot become completed": ["completed"],
        "cannot become partial": ["partial", "--remains", 50],
    }
    for words, line in over.items():
        done = await command.run("order", "report", order, "--status", *line)
        assert words in done.complaint
    # More may be given back, once; what was told stays as told.
    late = await command.json("order", "report", order, "--status", "canceled")
    assert (late["state"], late["status"], late["charge"]) == ("canceled", "Partial", "0.80")
    assert await world.balance(customer) == 10_000_000
    assert (
        "no order 999"
        in (await command.run("order", "report", 999, "--status", "completed")).complaint
    )
    await world.assert_sound()


async def test_only_what_is_worked_by_hand_is_made_and_reported_by_hand(
    command: Command, world: World, sandbox: SandboxProcess, customer: Customer
) -> None:
    record = await world.provider(sandbox.url, sandbox.key, "panel")
    await world.service(record, upstream_service="101")
    await world.pool.execute(
        """insert into orders (id, reseller_id, service_id, service_type, provider_id,
                               upstream_service, link, quantity, rate, charge, currency,
                               wire_charge, wire_remains, request_id)
           values (1, $1, 1, 'Default', $2, '101', 'x', 1, 1, 1, 'USD', 1, 1, 'r')""",
        customer.id,
        record.id,
    )
    complaints: dict[str, list[object]] = {
        "only orders that are worked by hand": ["order", "report", 1, "--status", "completed"],
        "service import panel": [
            *("service", "add", "--provider", "panel", "--name", "x", "--type", "Default"),
            *_SERVICE,
        ],
        "needs --url and --key": ["provider", "add", "other"],
        "no catalogue": ["service", "import", "people"],
        "no balance": ["provider", "balance", "people"],
        "write one of": [
            *("service", "add", "--provider", "people", "--name", "x", "--type", "Odd"),
            *_SERVICE,
        ],
        "--min must not be above": [
            *("service", "add", "--provider", "people", "--name", "x", "--type", "Default"),
            *(*_SERVICE, "--min", "5000"),
        ],
    }
    await command.json("provider", "add", "people", "--kind", "manual")
    for words, line in complaints.items():
        assert words in (await command.run(*line)).complaint, line
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from service") == 1


async def test_texts_are_cleaned_and_nothing_is_sold_twice_under_one_name(
    command: Command, world: World
) -> None:
    await command.json("provider", "add", "people", "--kind", "manual")
    made = await _offer(command, "--name", " Two\n lines\u202e ", "--category", "A\tb")
    assert (made["name"], made["category"]) == ("Two lines", "A b")
    assert made["routes"][0]["upstream_service"] == "Two lines"
    add = ["service", "add", "--provider", "people", "--type", "default", *_SERVICE]
    complaints: dict[str, list[object]] = {
        "delivers Two lines already, as service 1": ["--name", "Two lines"],
        "delivers Two lines already": ["--name", "x", "--upstream-service", "Two  lines"],
        "--name must not be empty": ["--name", "\u202e"],
        "--category is too long: at most 255": ["--name", "x", "--category", "x" * 256],
    }
    for words, flags in complaints.items():
        assert words in (await command.run(*add, *flags)).complaint, flags
    assert len(await command.json("service", "list")) == 1


async def test_an_account_whose_adapter_is_gone_is_one_line(command: Command, world: World) -> None:
    await command.json("provider", "add", "people", "--kind", "manual")
    made = await _offer(command)
    await world.pool.execute("update provider set kind = 'gone'")
    lines: tuple[list[object], ...] = (
        ["service", "add", "--provider", "people", "--name", "x", "--type", "default", *_SERVICE],
        ["route", "add", made["service"], "people", "x"],
        ["provider", "balance", "people"],
        ["provider", "probe", "people"],
        ["provider", "set", "people", "--key", "k"],
    )
    for line in lines:
        assert "no provider of kind 'gone'" in (await command.run(*line)).complaint, line


@pytest.fixture
async def customer(world: World) -> Customer:
    return await world.reseller()
