"""Accounts that are changed, taught and probed after they were added."""

import asyncio
import shlex

from gateway.catalogue.upstream_secrets import opened
from gateway.catalogue.upstreams import find_provider
from gateway.store.connection import Pool
from schemas.providers import ProviderRecord
from tests.cli.command import Command
from tests.odd_panels import KEY, OddPanel, serving
from tests.sandbox_process import SandboxProcess
from tests.world import KEYS, World


async def _stored(pool: Pool, name: str) -> ProviderRecord:
    async with pool.acquire() as conn:
        return await find_provider(conn, name)


async def test_options_are_set_and_unset_one_by_one(
    command: Command, world: World, pool: Pool
) -> None:
    before = await world.provider("http://127.0.0.1:9/api/v2", any_error_is_refusal=True)
    sets = ["--set", "method=GET", "--set", "rate_multiplier=0.01", "--set", "status_batch=1"]
    sets += ["--set", "headers={X-Shop: secret-2}", "--unset", "any_error_is_refusal"]
    shown = await command.json("provider", "set", "upstream", *sets)
    kept = {k: v for k, v in before.options.items() if k != "any_error_is_refusal"}
    changed = {"method": "GET", "rate_multiplier": "0.01", "status_batch": 1}
    assert opened(await _stored(pool, "upstream"), KEYS).options == {
        **kept,
        **changed,
        "headers": {"X-Shop": "secret-2"},
    }
    assert shown["options"] == {**kept, **changed, "headers": "***"}
    assert shown["id"] == before.id


async def test_an_account_moves_to_another_address_and_key(
    command: Command, world: World, pool: Pool
) -> None:
    before = await world.provider("http://127.0.0.1:9/api/v2")
    url = "https://panel.example/api/v2/"
    shown = await command.json("provider", "set", "upstream", "--url", url, "--key", "new-key-1")
    stored = opened(await _stored(pool, "upstream"), KEYS)
    assert (stored.url, stored.key, stored.options) == (url, "new-key-1", before.options)
    assert shown["url"] == url
    assert "new-key-1" not in str(shown)


async def test_a_change_that_cannot_work_is_refused_whole(
    command: Command, world: World, pool: Pool
) -> None:
    before = await world.provider("http://127.0.0.1:9/api/v2")
    wrong: list[tuple[list[str], str]] = [
        (["--set", "method=PUT", "--url", "http://x.example"], "method: Input should be 'POST'"),
        (["--set", "in_flight=0", "--key", "new-key"], "in_flight: "),
        (["--set", "timeouts={add: 61}"], "above the 60 s of dispatch.timeout_ms"),
        (["--set", 'known_refusals={"a\\0b": order}'], "NUL"),
        (["--url", ""], "a provider of kind panel_v2 needs --url and --key"),
        (["--key", " "], "a provider of kind panel_v2 needs --url and --key"),
        (["--unset", "status_batch"], "the account does not set it; it sets: adds_per_minute"),
        ([], "nothing to change"),
    ]
    runs = [command.run("provider", "set", "upstream", *parts) for parts, _ in wrong]
    for done, (parts, words) in zip(await asyncio.gather(*runs), wrong, strict=True):
        assert words in done.complaint, parts
    unknown = await command.run("provider", "set", "nobody", "--set", "in_flight=2")
    assert "there is no provider nobody; known are: upstream" in unknown.complaint
    assert await _stored(pool, "upstream") == before


async def test_a_name_that_would_break_a_line_adds_no_account(command: Command, pool: Pool) -> None:
    names = ["a\u2028b", "a\x85b\r", "a\x1b[2J\u202e", " a"]
    account = ["--url", "http://127.0.0.1:9/api/v2", "--key", "k"]
    runs = [command.run("provider", "add", name, *account) for name in names]
    for done, name in zip(await asyncio.gather(*runs), names, strict=True):
        assert "is no name" in done.complaint, repr(name)
    assert await pool.fetchval("select count(*) from provider") == 0


async def test_a_text_is_taught_once_in_whatever_spelling(
    command: Command, world: World, pool: Pool
) -> None:
    await world.provider("http://127.0.0.1:9/api/v2")
    await command.json(
        "provider", "teach", "upstream", "--text", "Busy: 5 left", "--group", "order"
    )
    taught = ["--text", "BUSY:  77 left.", "--group", "temporary"]
    shown = await command.json("provider", "teach", "upstream", *taught)
    assert shown["options"]["known_refusals"] == {"BUSY:  77 left.": "temporary"}
    await command.json("provider", "teach", "upstream", "--text", "Gone", "--group", "service")
    assert (await _stored(pool, "upstream")).options["known_refusals"] == {
        "BUSY:  77 left.": "temporary",
        "Gone": "service",
    }
    empty = await command.run("provider", "teach", "upstream", "--text", " . ", "--group", "order")
    assert "the text is empty" in empty.complaint


async def test_the_sandbox_is_probed_and_needs_nothing(
    command: Command, world: World, sandbox: SandboxProcess
) -> None:
    await world.sandbox(sandbox)
    link = "https://example.com/p?sandbox=partial:30"
    placed = await sandbox.call("add", service="101", link=link, quantity=1000)
    orders = str(placed["order"])
    found = await command.run(
        "provider", "probe", "sandbox", "--pause", 0, "--json", "--orders", orders
    )
    assert found.code == 0, found
    assert '"works": true' in found.out
    assert '"command": null' in found.out
    assert sandbox.key not in found.out + found.error
    progress = found.error.splitlines()
    assert progress[0].startswith("call, as configured: works")
    assert any(line.startswith("types: Default (") for line in progress)
    assert any(line.startswith("several orders: in one request") for line in progress)
    assert any(line.startswith(f"order {orders}: ") for line in progress)
    for_people = await command.run("provider", "probe", "sandbox", "--pause", 0)
    assert for_people.code == 0
    assert "The account is configured as this panel needs it." in for_people.out
    assert len(sandbox.received()) == 1, "a probe placed an order"


async def test_the_printed_command_makes_an_account_work(command: Command, world: World) -> None:
    panel = OddPanel(method="GET", path="/api/v2/", key="header:X-API-Key", lists=False)
    async with serving(panel):
        await world.provider(panel.url.removesuffix("/"), KEY, "odd")
        broken = await command.run("provider", "balance", "odd")
        assert broken.code == 2
        probed = await command.run("provider", "probe", "odd", "--pause", 0)
        assert probed.code == 0, probed
        [line] = [x for x in probed.out.splitlines() if x.startswith("smm-gateway provider set")]
        _, *arguments = shlex.split(line)
        assert "status_batch=1" in arguments
        await command.json(*arguments)
        balance = await command.json("provider", "balance", "odd")
    assert balance == {"name": "odd", "balance": "12.50", "currency": "EUR"}


async def test_a_test_order_needs_its_three_parts_and_is_placed_once(
    command: Command, world: World, sandbox: SandboxProcess
) -> None:
    await world.sandbox(sandbox)
    test = ["--test-service", "101", "--test-link", "https://example.com/t"]
    halves = await command.run("provider", "probe", "sandbox", *test)
    assert "--test-quantity" in halves.complaint
    assert sandbox.received() == []
    done = await command.run(
        "provider", "probe", "sandbox", "--pause", 0, *test, "--test-quantity", 100
    )
    assert done.code == 0
    assert "test order: placed as " in done.out
    [accepted] = sandbox.accepted()
    assert accepted["link"] == "https://example.com/t"


async def test_a_panel_that_cannot_be_spoken_to_is_a_finding(
    command: Command, world: World
) -> None:
    await world.provider("http://127.0.0.1:9/api/v2", name="away")
    done = await command.run("provider", "probe", "away", "--pause", 0)
    assert done.code == 1
    assert "No way to call this panel worked" in done.out


async def test_a_currency_that_is_set_is_what_the_account_is_converted_from(
    command: Command, world: World, pool: Pool
) -> None:
    rates = '{"VND": "0.00004", "EUR": "1.1"}'
    provider = ["provider", "set", "upstream"]
    async with serving(OddPanel()) as panel:
        before = await world.provider(panel.url, KEY)
        await pool.execute("update provider set balance = 5, balance_at = now()")
        unknown = await command.run(*provider, "--set", "currency=VND")
        assert "there is no exchange rate for it: set exchange_rates.VND" in unknown.complaint
        stored = await _stored(pool, "upstream")
        assert (stored.currency, stored.options, stored.balance) == ("USD", before.options, 5)
        done = await command.run(*provider, "--set", "currency=VND", exchange_rates=rates)
        assert done.code == 0, done
        stored = await _stored(pool, "upstream")
        assert (stored.currency, stored.balance, stored.balance_at) == ("VND", None, None)
        # Without the option it counts in what the panel tells.
        done = await command.run(*provider, "--unset", "currency", exchange_rates=rates)
        assert done.code == 0, done
        assert (await _stored(pool, "upstream")).currency == "EUR"
        done = await command.run(*provider, "--set", "currency=VND", exchange_rates=rates)
        assert done.code == 0, done
    away = await command.run(*provider, "--unset", "currency", exchange_rates=rates)
    assert "the panel cannot be asked for its currency" in away.complaint
    assert (await _stored(pool, "upstream")).currency == "VND"
