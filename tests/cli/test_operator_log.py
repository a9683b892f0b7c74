"""What commands change is in the operators' log, with who did it and why."""

import argparse
import json
from collections.abc import Iterator

from gateway.cli import parser
from gateway.store.connection import Pool
from tests.cli.command import Command
from tests.world import World

#: Commands without a word on why: they only read, or concern the machine and not the business.
_NOT_LOGGED = {
    *("serve", "demo", "sandbox", "migrate", "audit", "database grant", "doctor"),
    *("alert list", "alert test"),
    *("reseller show", "reseller list", "key list", "provider list", "provider balance"),
    *("provider probe", "service list", "service show", "route list", "price list"),
    *("price preview", "change list", "change show", "order show", "order list"),
    *(
        "refill list",
        "review list",
        "review show",
        "operator log",
        "operator list",
        "range list",
        "range detach",
    ),
    *("ordering show", "confirmation list", "report sales", "service speed", "provider funds"),
    *("job list", "job show", "secret new-key", "secret status"),
    *("embedded export", "embedded upgrade"),
}


def _commands(
    top: argparse.ArgumentParser, names: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield " ".join(names), top
    for group in groups:
        for name, sub in group.choices.items():
            yield from _commands(sub, (*names, name))


def test_every_command_that_changes_something_asks_who_and_why() -> None:
    silent = {
        name
        for name, command in _commands(parser())
        if not any("--reason" in action.option_strings for action in command._actions)
    }
    assert {
        name for name in silent if "backup" not in name and "restore" not in name
    } == _NOT_LOGGED


async def test_the_log_tells_who_did_what_and_why(command: Command) -> None:
    await command.json("reseller", "create", "acme", "--email", "a@example.com")
    paid = ["--reason", "wire of 4 May", "--request", "form-1"]
    await command.json("reseller", "credit", "acme", "12.5", *paid)
    await command.json("reseller", "set", "acme", "--suspend", "unpaid", "--reason", "no answer")
    key = await command.json("key", "issue", "acme")
    await command.json("key", "set", key["key_id"], "--scope", "read")
    await command.json("key", "revoke", key["key_id"])
    rows = await command.json("operator", "log")
    assert [row["action"] for row in reversed(rows)] == [
        *("reseller.created", "reseller.credited", "reseller.changed"),
        *("key.issued", "key.changed", "key.revoked"),
    ]
    assert all(row["actor"].startswith("cli:") for row in rows)
    assert key["key"] not in json.dumps(rows)
    changed, credited, _ = await command.json("operator", "log", "--subject", "reseller", "acme")
    assert (credited["reason"], credited["before"]) == ("wire of 4 May", {"balance": "0.00"})
    assert credited["after"] == {"balance": "12.50", "amount": "12.50"}
    assert changed["after"] == {"suspended": True, "suspended_reason": "unpaid"}
    assert (await command.json("operator", "log", "--actor", "nobody")) == []


async def test_a_request_acts_once(command: Command, world: World) -> None:
    customer = await world.reseller(funds="0")
    credit = ["reseller", "credit", customer.name, "7", "--reason", "wire", "--request", "form-7"]
    await command.json(*credit)
    again = await command.run(*credit, "--json")
    assert (again.code, again.out) == (0, "")
    assert "done this" in again.error or "was done" in again.error
    assert await world.balance(customer) == 7_000_000
    await world.assert_sound()


async def test_prices_and_services_are_logged_with_what_they_were(
    command: Command, world: World, pool: Pool
) -> None:
    provider = await world.provider("http://127.0.0.1:1/", "first-key", headers={"X-Key": "hidden"})
    service = await world.service(provider)
    await command.json("service", "set", service, "--name", "Better", "--reason", "clearer")
    await command.json("service", "set", service, "--name", "Better")
    made = await command.json("price", "set", "--markup", "30%", "--service", service)
    await command.json("price", "remove", made["id"])
    await command.json("provider", "pause", "upstream", "--reason", "moving")
    await command.json("provider", "resume", "upstream")
    await command.json("provider", "set", "upstream", "--key", "second-key")
    rows = await command.json("operator", "log")
    seen = [(row["action"], row["before"], row["after"]) for row in reversed(rows)]
    # What changes nothing is not written down.
    assert seen == [
        ("service.changed", {"name": "Default 1"}, {"name": "Better"}),
        ("price.set", {}, {"markup": "30", "service": service}),
        ("price.removed", {"markup": "30", "service": service}, {}),
        ("provider.paused", {"paused": None}, {"paused": "moving"}),
        ("provider.resumed", {"paused": "moving"}, {"paused": None}),
        ("provider.changed", {}, {"key": "another"}),
    ]
    async with pool.acquire() as conn:
        kept = await conn.fetchval("select string_agg(t::text, '') from operator_action t")
    assert not any(secret in kept for secret in ("first-key", "second-key", "hidden"))


async def test_a_bulk_markup_is_shown_first_and_made_once(command: Command, world: World) -> None:
    provider = await world.provider("http://127.0.0.1:1/")
    fixed = await world.service(provider, upstream_service="1")
    follows = [await world.service(provider, upstream_service=str(n)) for n in (2, 3)]
    for service in follows:
        await command.json("service", "set", service, "--rate", "rule")
    markup = ["price", "markup", "--percent", "50%", "--category", "tests"]
    shown = await command.json(*markup)
    assert (shown["services"], shown["applied"]) == (2, False)
    assert [row["service"] for row in shown["changed"]] == follows
    assert len(await command.json("price", "list")) == 1
    done = await command.json(*markup, "--apply", "--reason", "season")
    assert done["changed"] == shown["changed"]
    assert (await command.json(*markup, "--apply"))["changed"] == []
    rules = await command.json("price", "list")
    assert sorted(rule["service"] for rule in rules if rule["service"]) == follows
    assert fixed not in [rule["service"] for rule in rules]
    refused = await command.run("price", "markup", "--percent", "5%", "--search", "nothing like it")
    assert "no service with a price by rule" in refused.complaint


async def test_ordering_is_stopped_shown_and_started(command: Command, world: World) -> None:
    await world.reseller("acme")
    why = ["--reason", "upstreams are down"]
    stopped = await command.json("ordering", "stop", *why)
    assert stopped == {"reseller": None, "stopped": True, "changed": True}
    await command.json("ordering", "stop", "--reseller", "acme", *why)
    rows = await command.json("ordering", "show")
    assert [(row["whose"], row["reason"]) for row in rows] == [
        ("all", "upstreams are down"),
        ("acme", "upstreams are down"),
    ]
    assert (await command.json("ordering", "stop", *why))["changed"] is False
    await command.json("ordering", "start", *why)
    await command.json("ordering", "start", "--reseller", "acme", *why)
    assert await command.json("ordering", "show") == []
