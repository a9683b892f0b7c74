"""Mistakes: one line that says what to do, exit code 2, and nothing done."""

import asyncio
from pathlib import Path

import pytest

from gateway.store.connection import Pool
from tests.cli.command import Command
from tests.world import World


async def _complaints(command: Command, *lines: list[object]) -> dict[str, str]:
    """What each command line complains of; two at a time, for they start slowly."""
    turns = asyncio.Semaphore(2)

    async def complain(line: list[object]) -> str:
        async with turns:
            return (await command.run(*line)).complaint

    found = await asyncio.gather(*map(complain, lines))
    return {" ".join(map(str, line)): text for line, text in zip(lines, found, strict=True)}


async def test_what_does_not_exist_is_named(command: Command) -> None:
    complaints = await _complaints(
        command,
        ["reseller", "show", "ghost"],
        ["reseller", "credit", "ghost", "1", "--reason", "paid"],
        ["key", "issue", "ghost"],
        ["reseller", "set", "ghost", "--resume"],
        ["key", "revoke", "77"],
        ["key", "set", "77", "--scope", "read"],
        ["provider", "balance", "ghost"],
        ["service", "import", "ghost"],
        ["service", "show", "77"],
        ["service", "set", "77", "--disable"],
        ["order", "show", "77"],
        ["order", "list", "--reseller", "ghost"],
        ["change", "list", "--provider", "ghost"],
    )
    for line, text in complaints.items():
        assert "ghost" in text or "77" in text, line


async def test_numbers_that_nothing_can_have_are_usage_errors(command: Command) -> None:
    large = 99_999_999_999
    lines: list[list[object]] = [
        ["key", "revoke", large],
        ["service", "show", large],
        ["order", "show", 0],
        ["order", "show", "seven"],
        ["order", "list", "--limit", -1],
    ]
    for line in lines:
        done = await command.run(*line)
        assert done.code == 2
        assert done.error.startswith("usage:")
        assert str(line[-1]) in done.error.splitlines()[-1]


async def test_a_change_of_nothing_is_said(command: Command, world: World) -> None:
    number = await world.service(await world.provider("http://127.0.0.1:9/api/v2"))
    complaints = await _complaints(
        command,
        ["service", "set", number],
        ["route", "set", 1],
    )
    for line, text in complaints.items():
        assert "nothing to change" in text, line


async def test_a_balance_that_somebody_holds_is_one_line(command: Command, world: World) -> None:
    customer = await world.reseller("acme")
    async with world.pool.acquire() as conn, conn.transaction():
        await conn.execute("select from balance where reseller_id = $1 for update", customer.id)
        complaints = await _complaints(
            command,
            ["reseller", "credit", "acme", "1", "--reason", "paid"],
            ["reseller", "set", "acme", "--resume"],
        )
    for line, text in complaints.items():
        assert "the balance is in use just now" in text, line
    assert await world.balance(customer) == 100_000_000


async def test_bad_amounts_and_names_change_nothing(
    command: Command, world: World, pool: Pool
) -> None:
    customer = await world.reseller("acme")
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    number = await world.service(provider)
    package = await world.service(provider, type="Package", upstream_service="2")
    complaints = await _complaints(
        command,
        ["reseller", "credit", "acme", "ten", "--reason", "paid"],
        ["reseller", "credit", "acme", "1.1234567", "--reason", "paid"],
        ["reseller", "credit", "acme", "0", "--reason", "paid"],
        ["reseller", "credit", "acme", "999999999999.99", "--reason", "paid"],
        ["reseller", "create", "acme", "--email", "b@example.com"],
        ["reseller", "create", "other", "--email", "nobody"],
        ["reseller", "create", "other", "--email", "b@example.com", "--currency", "EUR"],
        ["reseller", "set", "acme"],
        ["reseller", "set", "acme", "--limit", "20"],
        ["reseller", "set", "acme", "--credit-limit", "-5"],
        ["reseller", "set", "acme", "--credit-limit", "much"],
        ["key", "issue", "acme", "--allow", "203.0.113.7/24"],
        ["key", "issue", "acme", "--expires", "2020-01-01"],
        ["key", "set", "1"],
        ["key", "set", "1", "--expires", "soon"],
        ["provider", "add", "upstream", "--url", "http://127.0.0.1:9/", "--key", "k"],
        ["provider", "add", "new", "--url", "http://127.0.0.1:9/", "--key", "k"],
        ["provider", "add", "new", "--url", "x", "--key", "k", "--kind", "nothing"],
        ["provider", "add", "new", "--url", "x", "--key", "k", "--set", "in_flight"],
        ["provider", "add", "new", "--url", "x", "--key", "k", "--set", "in_flight=0"],
        ["service", "import", "upstream", "--markup", "much"],
        ["service", "set", number, "--rate", "0"],
        ["service", "set", number, "--rate", "0.123456"],
        ["service", "set", number, "--min", "0"],
        ["service", "set", number, "--min", "9", "--max", "8"],
        ["service", "set", package, "--dripfeed", "on"],
    )
    assert len(set(complaints.values())) > 10
    assert await world.balance(customer) == 100_000_000
    async with pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from reseller") == 1
        assert await conn.fetchval("select count(*) from provider") == 1
        assert await conn.fetchval("select rate from service") == 900_000
    await world.assert_sound()


async def test_a_database_that_is_busy_is_one_line(command: Command, pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table provider in access exclusive mode")
        text = (await command.run("provider", "list")).complaint
    assert "broke off, or is busy" in text
    assert "LockNotAvailableError" in text


async def test_a_role_that_does_not_exist_is_told_which_do(command: Command) -> None:
    done = await command.run("serve", "--role", "boss")
    assert done.code == 2
    assert "boss is not one of all, web, worker" in done.error.splitlines()[-1]


async def test_commands_need_no_valkey(command: Command) -> None:
    assert "SMM_REDIS__URL" in command.settings
    audited, migrated = await asyncio.gather(
        command.run("audit", redis__url=None), command.run("migrate", redis__url=None)
    )
    assert (audited.code, audited.error) == (0, "")
    assert (migrated.code, migrated.error) == (0, "")


async def test_settings_that_cannot_be_are_named(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("http: {prot: 1}\n")
    unknown, environment, value, missing = await asyncio.gather(
        command.run("reseller", "list", "--config", file),
        command.run("reseller", "list", htpp__port="1"),
        command.run("reseller", "list", database__pool_size="few"),
        command.run("reseller", "list", config=str(tmp_path / "none.yaml")),
    )
    assert "http.prot" in unknown.complaint
    assert "SMM_HTPP__PORT" in environment.complaint
    assert "database.pool_size" in value.complaint
    assert "none.yaml" in missing.complaint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@127.0.0.1:9/postgres",
        "postgresql://postgres@/nothing?host=/nonexistent",
        "mysql://nothing",
        "nonsense",
    ],
)
async def test_a_database_that_cannot_be_reached_is_one_line(command: Command, url: str) -> None:
    done = await command.run("reseller", "list", database__url=url)
    assert "database" in done.complaint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hidden@host:port/name",
        "postgresql://user:hidden/es@host/name",
        "postgresql://user:hidden@127.0.0.1:99999/name",
        "postgresql://user:hidden@[::1/name",
    ],
)
async def test_a_database_url_that_cannot_be_read_is_one_line_without_its_password(
    command: Command, url: str
) -> None:
    done = await command.run("reseller", "list", database__url=url)
    assert "database.url" in done.complaint
    assert "hidden" not in done.complaint


@pytest.mark.parametrize("url", ["nonsense", "redis://:hidden/es@host:6379", "redis://host:99999"])
async def test_a_redis_url_that_cannot_be_read_is_one_line_without_its_password(
    command: Command, url: str
) -> None:
    done = await command.run("serve", "--port", "0", redis__url=url)
    assert "redis.url" in done.complaint
    assert "hidden" not in done.complaint


async def test_a_ready_file_of_an_earlier_demo_is_gone_whatever_becomes_of_the_next(
    command: Command, tmp_path: Path
) -> None:
    stale = tmp_path / "ready.json"
    stale.write_text("{}")
    done = await command.run("demo", "--ready-file", stale, database__pool_size="few")
    assert "database.pool_size" in done.complaint
    assert not stale.exists()
    for impossible in (tmp_path, tmp_path / "missing" / "ready.json"):
        done = await command.run("demo", "--ready-file", impossible)
        assert "--ready-file" in done.complaint


async def test_engines_that_do_not_run_are_one_line_that_says_what_to_do(
    command: Command, tmp_path: Path
) -> None:
    done = await command.run(
        *("order", "list", "--data-dir", tmp_path / "nothing"), database__url=None, redis__url=None
    )
    assert str(tmp_path / "nothing") in done.complaint
    assert "serve" in done.complaint or "demo" in done.complaint
    assert not (tmp_path / "nothing").exists()


async def test_serving_without_a_pepper_is_refused(command: Command) -> None:
    done = await command.run("serve", "--port", "0", security__pepper=None)
    assert "SMM_SECURITY__PEPPER" in done.complaint


async def test_a_key_cannot_be_issued_without_a_pepper(command: Command, world: World) -> None:
    customer = await world.reseller()
    done = await command.run("key", "issue", customer.name, security__pepper=None)
    assert "SMM_SECURITY__PEPPER" in done.complaint


async def test_a_command_line_that_cannot_be_read_is_exit_code_two(command: Command) -> None:
    nothing, unknown, state = await asyncio.gather(
        command.run(), command.run("frobnicate"), command.run("order", "list", "--state", "odd")
    )
    assert [nothing.code, unknown.code, state.code] == [2, 2, 2]
    assert "usage:" in nothing.error


async def test_a_migration_that_waits_too_long_for_a_table_is_one_line(
    command: Command, pool: Pool
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("lock table migration in access exclusive mode")
        done = await command.run("migrate")
    assert "a migration needs a table that another session holds" in done.complaint
    assert (await command.run("migrate")).code == 0


async def test_more_workers_than_the_database_has_connections_for_are_refused(
    command: Command,
) -> None:
    text = (await command.run("serve", "--workers", 1_000)).complaint
    assert "--workers 1000 may need 10010 connections" in text
    assert "take --workers" in text
