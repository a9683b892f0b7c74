"""Every command that prints data: what it does, and the names in its JSON."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from gateway.quarantine import keep, quarantine_of
from gateway.resellers.keys import KeyRing, is_ours
from gateway.store.connection import Pool
from tests.application_role import APPLICATION
from tests.cli.command import Command
from tests.orders.aftercare import Aftercare
from tests.orders.line import faulty, open_line
from tests.orders.test_drip_feed import drip, look, runs_of
from tests.sandbox_process import SandboxProcess
from tests.world import PEPPERS, World


async def test_resellers_are_created_credited_and_shown(command: Command, world: World) -> None:
    made = await command.json("reseller", "create", "acme", "--email", "a@example.com")
    assert {k: made[k] for k in ("id", "name", "balance", "currency")} == {
        "id": 1,
        "name": "acme",
        "balance": "0.00",
        "currency": "USD",
    }
    credited = await command.json("reseller", "credit", "acme", "12.345", "--reason", "thanks")
    assert credited["balance"] == "12.345"
    shown, listed = await asyncio.gather(
        command.json("reseller", "show", "acme"), command.json("reseller", "list")
    )
    assert shown == credited
    assert listed == [credited]
    await world.assert_sound()


async def test_a_key_is_shown_once_opens_the_account_and_can_be_revoked(
    command: Command, world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    issued = await command.json("key", "issue", customer.name)
    assert set(issued) == {"key_id", "key"}
    assert is_ours(issued["key"])
    access = await KeyRing(pool, PEPPERS).open(issued["key"])
    assert access is not None
    assert access.reseller_id == customer.id
    listed = await command.json("key", "list", customer.name)
    assert [key["key_id"] for key in listed] == [issued["key_id"] - 1, issued["key_id"]]
    assert issued["key"] not in str(listed)
    await command.json("key", "revoke", issued["key_id"])
    assert await KeyRing(pool, PEPPERS).open(issued["key"]) is None
    [_, revoked] = await command.json("key", "list", customer.name)
    assert revoked["revoked_at"]


async def test_an_account_is_changed_and_shown_with_all_its_settings(
    command: Command, world: World
) -> None:
    await world.reseller("acme", funds="5")
    shown = await command.json("reseller", "show", "acme")
    assert {name: shown[name] for name in list(shown)[2:]} == {
        "balance": "5.00",
        "currency": "USD",
        "credit_limit": "0.00",
        "email": "acme@example.com",
        "suspended": False,
        "suspended_reason": None,
        "limit": "default",
        "duplicates": "safe_retry",
        "service_ids": "number",
        "post_only": False,
    }
    flags = ["--limit", "20/s", "--credit-limit", "12.5", "--suspend", "unpaid", "--post-only"]
    flags += ["--duplicates", "allow", "--service-ids", "text"]
    changed = await command.json("reseller", "set", "acme", *flags)
    assert changed == shown | {
        "credit_limit": "12.50",
        "suspended": True,
        "suspended_reason": "unpaid",
        "limit": "20/s",
        "duplicates": "allow",
        "service_ids": "text",
        "post_only": True,
    }
    assert await command.json("reseller", "list") == [changed]
    flags = ["--limit", "none", "--resume", "--any-method", "--duplicates", "reject_active_link"]
    again = await command.json("reseller", "set", "acme", *flags, "--service-ids", "number")
    assert again == shown | {
        "credit_limit": "12.50",
        "limit": "none",
        "duplicates": "reject_active_link",
    }


async def test_a_key_has_terms_that_can_be_changed(
    command: Command, world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    terms = ["--scope", "read", "--allow", "203.0.113.0/24,2001:db8::/32"]
    issued = await command.json("key", "issue", customer.name, *terms, "--expires", "2099-01-31")
    [plain, bound] = await command.json("key", "list", customer.name)
    assert [plain[name] for name in ("scope", "allow", "expires_at")] == ["order", "any", None]
    assert {name: bound[name] for name in ("key_id", "scope", "allow", "expires_at")} == {
        "key_id": issued["key_id"],
        "scope": "read",
        "allow": "203.0.113.0/24,2001:db8::/32",
        "expires_at": "2099-01-31T00:00:00+00:00",
    }
    changed = await command.json("key", "set", issued["key_id"], "--allow", "203.0.113.7")
    assert changed == bound | {"allow": "203.0.113.7/32"}
    flags = ["--scope", "order", "--allow", "any", "--expires", "never"]
    freed = await command.json("key", "set", issued["key_id"], *flags)
    assert freed == bound | {"scope": "order", "allow": "any", "expires_at": None}
    soon = await command.json("key", "set", issued["key_id"], "--expires", "90d")
    assert soon["expires_at"] > freed["created_at"]
    access = await KeyRing(pool, PEPPERS).open(issued["key"])
    assert access is not None
    assert access.valid_seconds is not None
    assert 89 * 86_400 < access.valid_seconds <= 90 * 86_400


async def test_a_provider_is_added_asked_and_imported(
    command: Command, sandbox: SandboxProcess
) -> None:
    account = ["--url", sandbox.url, "--key", sandbox.key]
    made = await command.json("provider", "add", "box", *account, "--set", "in_flight=3")
    assert (made["name"], made["kind"], made["options"]) == ("box", "panel_v2", {"in_flight": 3})
    assert sandbox.key not in str(made)
    listed, balance = await asyncio.gather(
        command.json("provider", "list"), command.json("provider", "balance", "box")
    )
    assert listed == [made]
    assert balance == {"name": "box", "balance": "1000000.00", "currency": "USD"}
    some = await command.json("service", "import", "box", "--markup", "50%", "--ids", "101,105")
    routed = [(s["routes"][0]["upstream_service"], s["rate"]) for s in some]
    assert routed == [("101", "1.26"), ("105", "1.65")]
    every = await command.json("service", "import", "box")
    assert len(every) > 30
    assert {s["service"]: s for s in every} | {s["service"]: s for s in some} == {
        s["service"]: s for s in every
    }
    assert await command.json("provider", "sync", "box") == []


async def test_services_are_listed_shown_and_changed(command: Command, world: World) -> None:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    number = await world.service(provider, rate="0.90")
    [listed] = await command.json("service", "list")
    assert listed == {
        "service": number,
        "name": "Default 1",
        "type": "Default",
        "category": "Tests",
        "rate": "0.90",
        "min": "50",
        "max": "10000",
        "dripfeed": False,
        "enabled": True,
        "refill": False,
        "refill_days": None,
        "cancel": False,
        "disabled_reason": None,
        "not_for_sale": None,
        "routes": [{"provider": "upstream", "upstream_service": "1", "cost": "0.45"}],
    }
    changes = ["--rate", "1.23456", "--name", "New", "--min", "5", "--max", "6", "--disable"]
    changed = await command.json("service", "set", number, *changes)
    assert (changed["rate"], changed["name"], changed["min"]) == ("1.23456", "New", "5")
    assert (changed["max"], changed["enabled"]) == ("6", False)
    assert await command.json("service", "show", number) == changed
    on = await command.json("service", "set", number, "--enable")
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    drip = await command.json("service", "set", number, "--dripfeed", "on")
    assert drip["dripfeed"] is True
    assert not (await command.json("service", "set", number, "--dripfeed", "off"))["dripfeed"]


async def test_an_order_in_parts_is_shown_with_its_parts(
    command: Command, world: World, sandbox: SandboxProcess
) -> None:
    async with open_line(world, sandbox) as line:
        parent = await drip(line, runs=2)
        await look(line)
        [run] = await runs_of(line, parent)
    shown, part, listed = await asyncio.gather(
        command.json("order", "show", parent),
        command.json("order", "show", run["id"]),
        command.json("order", "list", "--state", "scheduled"),
    )
    assert (shown["runs"], shown["interval_minutes"]) == ("1 of 2", 60)
    assert shown["next_run_at"]
    [told] = shown["parts"]
    assert (told["run"], told["order"], told["state"]) == (1, run["id"], "queued")
    assert (part["parent"], "parts" in part) == (parent, False)
    assert [order["order"] for order in listed] == [parent]
    for_people = await command.run("order", "show", parent)
    assert "1 of 2" in for_people.out
    assert f"order={run['id']}" in for_people.out


async def test_orders_are_shown_with_what_became_of_them(
    command: Command, world: World, sandbox: SandboxProcess
) -> None:
    async with open_line(world, sandbox) as line:
        placed, unknown = await line.place(faulty(name="fine"), faulty("reset-after"))
        await line.send()
        await line.panel.control("advance", {"work": 1})
        await line.poll()
        shown, listed, lost = await asyncio.gather(
            command.json("order", "show", placed),
            command.json("order", "list"),
            command.json("order", "list", "--state", "unknown"),
        )
        row = await line.row(placed)
    assert shown == {
        "order": placed,
        "status": "Completed",
        "charge": "1.05",
        "start_count": str(row["start_count"]),
        "remains": "0",
        "currency": "USD",
        "state": "completed",
        "provider": "sandbox",
        "upstream_id": row["upstream_id"],
        "attempts": 1,
        "link": faulty(name="fine"),
        "quantity": 1000,
        "service": row["service_id"],
        "reseller": "acme",
        "external_id": None,
        "cancel": None,
        "refills": [],
        "parent": None,
    }
    assert [order["order"] for order in listed] == [unknown, placed]
    assert listed[1] | {"cancel": None, "refills": []} == shown
    assert [(order["order"], order["status"]) for order in lost] == [(unknown, "Pending")]
    for_people = await command.run("order", "show", unknown)
    assert for_people.code == 0
    assert "queued > sending > unknown" in for_people.out
    assert sandbox.key not in for_people.out


async def test_what_a_service_offers_after_an_order_is_set_and_shown(
    command: Command, world: World
) -> None:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    number = await world.service(provider)
    names = ("refill", "refill_days", "cancel")
    shown = await command.json("service", "show", number)
    assert [shown[name] for name in names] == [False, None, False]
    on = ["--refill", "on", "--refill-days", "30", "--cancel", "on"]
    shown = await command.json("service", "set", number, *on)
    assert [shown[name] for name in names] == [True, 30, True]
    shown = await command.json("service", "set", number, "--refill-days", "none", "--cancel", "off")
    assert [shown[name] for name in names] == [True, None, False]
    for days in ("0", "-1", "30d", "10000"):
        refused = await command.run("service", "set", number, f"--refill-days={days}")
        assert "--refill-days" in refused.complaint


async def test_refills_and_cancellations_are_shown_and_operators_may_act(
    command: Command, world: World, sandbox: SandboxProcess
) -> None:
    why = ["--reason", "their customer asked"]
    async with open_line(world, sandbox) as line:
        care = Aftercare(line)
        [order] = await care.completed(faulty())
        refill = await care.refill(order)
        await care.fail("refill", "reset-after")
        await care.send()
        [running] = await line.placed(faulty(name="1"))
        [queued] = await line.place(faulty(name="2"))
        done = await asyncio.gather(
            command.json("order", "cancel", queued, *why),
            command.json("order", "cancel", running, *why),
        )
        assert [(one["result"], one["refund"]) for one in done] == [
            *(("done", "1.05"), ("asked", "0.00")),
        ]
        silent = await command.run("order", "cancel", running)
        assert (silent.code, "--reason" in silent.error) == (2, True)
        listed, shown, asked, text = await asyncio.gather(
            command.json("refill", "list", "--state", "unknown"),
            command.json("order", "show", order),
            command.json("order", "show", running),
            command.run("order", "show", order),
        )
    assert (listed[0]["refill"], listed[0]["order"], listed[0]["tries"]) == (refill, order, 1)
    assert shown["refills"] == listed
    assert (asked["cancel"]["state"], asked["cancel"]["reason"]) == ("requested", None)
    assert f"refill={refill}" in text.out
    refused = await command.run("order", "cancel", order, *why)
    assert "Cancel is not available" in refused.complaint
    closed = await command.json("refill", "close", refill, "rejected", "--reason", "they say no")
    assert closed == {"refill": refill, "state": "rejected"}
    [ended] = await command.json("refill", "list")
    assert (ended["state"], ended["reason"]) == ("rejected", "they say no")
    again = await command.run("refill", "close", refill, "completed", "--reason", "x")
    assert "refill list" in again.complaint


async def test_an_audit_of_a_sound_database_is_ok(command: Command, world: World) -> None:
    await world.reseller()
    found = await command.json("audit")
    assert (found["ok"], found["broken"]) == (True, [])


async def test_an_audit_names_every_answer_that_a_defect_keeps_from_the_database(
    command: Command, tmp_path: Path
) -> None:
    record = {"order_id": 7, "number": 1, "outcome": "Placed", "upstream_id": "77"}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    path = keep(quarantine_of(tmp_path / "spool"), "outcome", at, "DataError", record)
    found = await command.json("audit", "--data-dir", tmp_path)
    assert found["ok"]
    [warning] = found["warnings"]
    for said in (str(path), "order_id 7", "upstream_id 77", "DataError", "then delete the file"):
        assert said in warning["row"]


async def test_an_audit_that_finds_something_says_what_and_fails(
    command: Command, world: World, pool: Pool
) -> None:
    customer = await world.reseller()
    async with pool.acquire() as conn:
        await conn.execute("update balance set amount = amount + 1")
    done = await command.run("audit", "--json")
    assert done.code == 1
    assert '"ok": false' in done.out
    assert f"reseller {customer.id}" in done.out
    for_people = await command.run("audit")
    assert for_people.code == 1
    assert "balance_is_history" in for_people.out


async def test_migrating_a_migrated_database_applies_nothing(command: Command) -> None:
    assert await command.json("migrate") == []


async def test_an_empty_database_is_refused_until_it_is_migrated(
    command: Command, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        await conn.execute("drop schema public cascade; create schema public")
        await conn.execute("grant usage on schema public to public")
    refused = await command.run("reseller", "list")
    assert "smm-gateway migrate" in refused.complaint
    assert (await command.json("migrate"))[0] == "0001_core.sql"
    assert "smm-gateway database grant" in (await command.run("reseller", "list")).complaint
    await command.json("database", "grant", APPLICATION)
    assert await command.json("reseller", "list") == []


async def test_tables_for_people_show_the_same(command: Command, world: World) -> None:
    await world.reseller("acme")
    done = await command.run("reseller", "list")
    assert done.code == 0
    assert "acme" in done.out
    assert "100.00" in done.out
