"""Commands of operators' work: orders, reports, jobs, funds, and what a reseller sees."""

import csv
import io

from gateway.store import providers, readings
from gateway.store.connection import Pool
from schemas.money import UNIT
from tests.cli.command import Command
from tests.finished import fill_finished
from tests.world import World

WHY = ["--reason", "the customer asked"]


async def _finished(world: World, number: int = 3) -> str:
    customer = await world.reseller(funds="1000")
    provider = await world.provider("http://127.0.0.1:1/", name="main")
    service = await world.service(provider)
    async with world.pool.acquire() as conn:
        await fill_finished(conn, [customer.id], service, provider.id, first=25, number=number)
    return customer.name


async def test_orders_are_found_noted_and_refunded(command: Command, world: World) -> None:
    name = await _finished(world)
    found = await command.json("order", "list", "--reseller", name, "--state", "completed")
    [order] = [row["order"] for row in found]
    assert await command.json("order", "list", "--until", "2020-01-01") == []
    refused = await command.run("order", "list", "--provider", "ghost")
    assert "ghost" in refused.complaint
    await command.json("order", "note", order, *WHY)
    shown = await command.json("order", "bulk", "refund", "--all", "--id", order)
    assert (shown["applied"], shown["refund"]) == (False, "1.00")
    done = await command.json("order", "bulk", "refund", "--all", "--id", order, "--apply", *WHY)
    assert (done["numbers"], done["refund"]) == ({"done": 1}, "1.00")
    again = await command.json("order", "refund", order, "--all", *WHY)
    assert (again["result"], again["refund"]) == ("unchanged", "0.00")
    log = await command.json("operator", "log", "--subject", "order", order)
    assert [row["action"] for row in log] == ["order.refunded", "order.noted"]
    await world.assert_sound()


async def test_a_bulk_without_a_filter_or_reason_is_refused(command: Command, world: World) -> None:
    await _finished(world)
    everything = await command.run("order", "bulk", "cancel", "--apply", *WHY)
    assert "at least one filter" in everything.complaint
    resolved = await command.run("order", "bulk", "resolve", "--id", 25)
    assert "--as goes with resolve" in resolved.complaint
    silent = await command.json("order", "bulk", "refund", "--all", "--id", 27, "--apply")
    assert silent["numbers"] == {"refused": 1}


async def test_a_report_is_printed_as_a_table_and_as_a_sheet(
    command: Command, world: World
) -> None:
    await _finished(world)
    span = ["--first", "2020-01-01", "--last", "2029-01-01", "--per", "month"]
    [row] = await command.json("report", "sales", *span, "--by", "provider")
    assert (row["of"], row["orders"], row["revenue"], row["refunds"]) == ("main", 3, "3.00", "1.25")
    sheet = await command.run("report", "sales", *span, "--by", "reseller", "--csv")
    heads, line = list(csv.reader(io.StringIO(sheet.out)))
    assert (heads[1], line[1], line[4]) == ("reseller", "acme", "3.000000")
    zone = await command.run("report", "sales", "--time-zone", "Nowhere/Town")
    assert "Europe/Berlin" in zone.complaint


async def test_work_is_given_to_the_background_and_followed(command: Command, world: World) -> None:
    await _finished(world)
    asked = await command.json(
        "order", "bulk", "refund", "--all", "--state", "completed", "--apply", "--background", *WHY
    )
    [listed] = await command.json("job", "list")
    assert (listed["job"], listed["kind"], listed["state"]) == (asked["job"], "bulk", "waiting")
    shown = await command.json("job", "show", asked["job"])
    assert (shown["reason"], shown["result"]) == ("the customer asked", None)
    assert "no job 77" in (await command.run("job", "show", 77)).complaint


async def test_aliases_and_funds_of_a_provider(command: Command, world: World, pool: Pool) -> None:
    record = await world.provider("http://127.0.0.1:1/", name="main")
    await world.provider("http://127.0.0.1:1/", name="spare")
    await command.json("provider", "alias", "main", "Blue")
    taken = await command.run("provider", "alias", "spare", "Blue")
    assert "another alias" in taken.complaint
    async with pool.acquire() as conn:
        for amount, hours in ((90, 10), (60, 0)):
            await readings.insert_reading(conn, record.id, amount * UNIT, "USD", 1)
            await conn.execute(
                """update balance_reading set at = at - $1 * interval '1 hour',
                          asked_at = asked_at - $1 * interval '1 hour'""",
                hours,
            )
        await providers.set_provider_balance(conn, record.id, 60 * UNIT, "USD")
    funds = await command.json("provider", "funds", "main")
    assert (funds["balance"], funds["hours_left"]) == ("60.00", 20.0)
    assert [(row["balance"], row["change"]) for row in funds["readings"]] == [
        ("60.00", "-30.00"),
        ("90.00", None),
    ]


async def test_a_large_amount_waits_for_another_operator(command: Command, world: World) -> None:
    customer = await world.reseller(funds="10")
    limit = {"operators__confirm_above": "5"}
    adjust = ["reseller", "adjust", customer.name, "-6", *WHY]
    waiting = await command.run(*adjust, **limit)
    assert (waiting.code, "smm-gateway confirmation confirm 1" in waiting.out) == (0, True)
    [asked] = await command.json("confirmation", "list")
    assert (asked["amount"], asked["state"]) == ("-6.00", "waiting")
    own = await command.run("confirmation", "confirm", 1)
    assert "another operator" in own.complaint
    assert (await command.json("confirmation", "decline", 1))["state"] == "declined"
    assert (await command.json("reseller", "adjust", customer.name, "-4", *WHY))[
        "balance"
    ] == "6.00"
    await world.assert_sound()


async def test_an_account_is_seen_as_its_reseller_sees_it(command: Command, world: World) -> None:
    name = await _finished(world)
    view = await command.json("reseller", "view", name)
    assert view["balance"] == "998.25"
    assert [service["service"] for service in view["services"]] == [1]
    assert view["orders"]["25"]["status"] == "Canceled"
    assert list(view["orders"]) == ["27", "26", "25"]
    [act] = await command.json("operator", "log", "--subject", "reseller", name, "--limit", 1)
    assert act["action"] == "reseller.viewed"
