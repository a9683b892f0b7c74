"""``smm-gateway doctor``: a good deployment is ready, and each fault has its line and its cure."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from gateway.alerts.watching import look
from gateway.doctor.line import Level
from gateway.doctor.machine import judge_room
from gateway.doctor.servers import of_clock, of_server
from gateway.embedded import Addresses
from gateway.store.connection import Pool
from gateway.store.servers import ServerHealth
from gateway.valkey_client import close_client, open_client
from schemas.config import SettingsModel
from tests.alerts.twins import NOWHERE, SECRET, Twin, webhook_twin
from tests.application_role import superuser_url
from tests.cli.command import Command
from tests.conftest import OpenGateway
from tests.world import PEPPER, World

_GOOD = "insert into process values ('here/1/x', 'all', 'here', 1, '0.1', 0)"


class Panel:
    """A panel that says what it holds, and by its own clock."""

    def __init__(self) -> None:
        self.url = ""
        self.balance: dict[str, str] = {"balance": "12.50", "currency": "USD"}
        self.late = timedelta(0)

    async def answer(self, _: web.Request) -> web.Response:
        date = format_datetime(datetime.now(UTC) - self.late, usegmt=True)
        return web.json_response(self.balance, headers={"Date": date})


@asynccontextmanager
async def _opened(panel: Panel) -> AsyncIterator[Panel]:
    app = web.Application()
    app.router.add_post("/", panel.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        panel.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield panel
    finally:
        await runner.cleanup()


@pytest.fixture
async def panel() -> AsyncIterator[Panel]:
    async with _opened(Panel()) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Twin]:
    async with webhook_twin() as twin:
        yield twin


class Deployment:
    """A good deployment, looked at by the command."""

    def __init__(self, command: Command, settings: dict[str, str]) -> None:
        self._command = command
        self.settings = settings

    async def look(self, *flags: str, **changed: str | None) -> tuple[int, list[dict[str, Any]]]:
        """The exit code, and the lines."""
        done = await self._command.run("doctor", "--json", *flags, **(self.settings | changed))
        found = json.loads(done.out)
        assert found["ok"] == (done.code == 0), done
        return done.code, found["lines"]

    async def faults(self, **changed: str | None) -> list[tuple[str, str, str]]:
        """All lines but the good ones; every one says what to do."""
        code, lines = await self.look(**changed)
        bad = [line for line in lines if line["level"] != "ok"]
        assert all(line["cure"] for line in bad)
        assert code == any(line["level"] == "fail" for line in bad)
        return [(line["level"], line["check"], line["words"]) for line in bad]

    async def text(self, *flags: str) -> str:
        """What people read."""
        return (await self._command.run("doctor", *flags, **self.settings)).out


@pytest.fixture
async def deployment(
    command: Command,
    pool: Pool,
    world: World,
    panel: Panel,
    receiver: Twin,
    redis_url: str,
    tmp_path: Path,
) -> Deployment:
    await world.provider(panel.url, name="main", low_balance="5")
    await pool.execute(_GOOD)
    await pool.execute("insert into backup values (now(), '/backups/one', 1, now())")
    settings = {
        "data_dir": str(tmp_path / "data"),
        "redis__url": redis_url,
        "http__trusted_proxies": '["127.0.0.1/32"]',
        "alerts__webhook__url": receiver.url,
        "alerts__webhook__secret": SECRET,
    }
    return Deployment(command, settings)


async def test_a_good_deployment_is_ready(
    deployment: Deployment, pool: Pool, open_gateway: OpenGateway, receiver: Twin
) -> None:
    await pool.execute("delete from process")
    async with open_gateway():
        code, lines = await deployment.look()
    assert code == 0
    bad = [line for line in lines if line["level"] != "ok" and line["check"] != "disk"]
    assert bad == []
    assert receiver.got == []  # nobody is bothered with messages
    checks = {line["check"] for line in lines}
    assert {"database", "migrations", "durability", "clock", "valkey", "processes"} <= checks
    assert {"provider main", "backup", "alerts", "alert channels", "pepper"} <= checks


async def test_people_read_a_line_for_each_and_what_to_do(
    deployment: Deployment, pool: Pool
) -> None:
    await pool.execute("delete from backup")
    text = await deployment.text()
    assert "fail  backup              none was ever made\n" in text
    assert "▸ each night `smm-gateway backup create`" in text
    assert text.splitlines()[-1].startswith("not ready: 1 to put right")


async def test_offline_nobody_is_asked(deployment: Deployment, pool: Pool, receiver: Twin) -> None:
    await pool.execute("update provider set url = $1", NOWHERE)
    code, _ = await deployment.look("--offline")
    assert code == 0
    assert receiver.asked == 0


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("delete from process", ("fail", "processes", "none to send orders")),
        ("update process set role = 'web'", ("fail", "processes", "none to send orders")),
        ("update process set role = 'worker'", ("fail", "processes", "none to answer resellers")),
        (
            "update process set beat_at = now() - interval '2 minutes'",
            ("warn", "processes", "has said nothing for 2 min"),
        ),
        ("update process set spool_entries = 3", ("warn", "spool", "holds 3 entries")),
        (
            "insert into process values ('b', 'web', 'b', 2, '0.2', 0)",
            ("warn", "processes", "0.1, 0.2"),
        ),
        ("update audit_watch set broken = 1", ("fail", "audit", "1 rows are broken")),
        ("delete from backup", ("fail", "backup", "none was ever made")),
        (
            "update backup set finished_at = now() - interval '2 days'",
            ("fail", "backup", "the newest is 2 days old"),
        ),
        ("update backup set verified_at = null", ("warn", "backup", "none was ever proven")),
        ("update provider set currency = 'EUR'", ("fail", "exchange rates", "in EUR")),
        (f"update provider set url = '{NOWHERE}'", ("fail", "provider main", "cannot be asked")),
        (
            "update provider set paused_reason = 'a holiday'",
            ("warn", "provider main", "paused: a holiday"),
        ),
        (
            "delete from migration where name like '0021%'",
            ("fail", "migrations", "first 0021_alerts.sql"),
        ),
    ],
)
async def test_what_the_database_knows_of_a_fault_has_its_line(
    deployment: Deployment, pool: Pool, statement: str, fault: tuple[str, str, str]
) -> None:
    await pool.execute(statement)
    _expect(await deployment.faults(), fault)


def _expect(faults: list[tuple[str, str, str]], fault: tuple[str, str, str]) -> None:
    level, check, words = fault
    found = [text for one, name, text in faults if (one, name) == (level, check)]
    assert any(words in text for text in found), faults


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"http__trusted_proxies": None}, ("warn", "proxy", "no proxy is believed")),
        (
            {"http__trusted_proxies": None, "http__host": "0.0.0.0"},
            ("fail", "proxy", "without TLS"),
        ),
        (
            {"http__trusted_proxies": '["0.0.0.0/0"]'},
            ("fail", "proxy", "anybody may claim any address"),
        ),
        ({"internal__host": "0.0.0.0"}, ("warn", "internal listener", "reads the metrics")),
        ({"ops__port": "0", "ops__development": "true"}, ("warn", "console", "development")),
        (
            {"ops__port": "0", "ops__url": "https://ops.example.com", "ops__host": "0.0.0.0"},
            ("fail", "console", "no proxy with TLS"),
        ),
        (
            {"ops__port": "0", "ops__url": "https://ops.example.com"},
            ("warn", "console", "no proxy is believed"),
        ),
        ({"security__pepper": None}, ("fail", "pepper", "there is none")),
        ({"security__pepper": "abc" * 12}, ("fail", "pepper", "not random")),
        ({"security__master_keys": None}, ("fail", "master keys", "there is none")),
        (
            {"security__master_keys": base64.b64encode(b"k" * 32).decode()},
            ("fail", "provider main", "cannot be asked"),
        ),
        ({"security__master_keys": "short"}, ("fail", "master keys", "")),
        ({"redis__url": "redis://127.0.0.1:9/0"}, ("fail", "valkey", "cannot be reached")),
        (
            {"database__url": "postgresql://u:p@127.0.0.1:9/d"},
            ("fail", "database", "cannot be reached"),
        ),
        ({"database__pgbouncer": "true"}, ("fail", "database limits", "statement_timeout")),
        ({"alerts__webhook__url": NOWHERE}, ("fail", "alert channels", "webhook")),
        (
            {"alerts__webhook__url": None, "alerts__webhook__secret": None},
            ("warn", "alert channels", "none is set"),
        ),
        ({"data_dir": "/dev/null/data"}, ("fail", "disk", "cannot be written")),
    ],
)
async def test_a_fault_in_the_settings_has_its_line(
    deployment: Deployment, settings: dict[str, str | None], fault: tuple[str, str, str]
) -> None:
    _expect(await deployment.faults(**settings), fault)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"balance": "0.00", "currency": "USD"}, ("fail", "provider main", "holds 0.00 USD")),
        ({"balance": "4.99", "currency": "USD"}, ("warn", "provider main", "low_balance of 5")),
        ({"balance": "50", "currency": "EUR"}, ("fail", "provider main", "counted in USD")),
        ({"error": "Invalid API key"}, ("fail", "provider main", "cannot be asked")),
    ],
)
async def test_what_a_panel_says_of_its_account_has_its_line(
    deployment: Deployment, panel: Panel, answer: dict[str, str], fault: tuple[str, str, str]
) -> None:
    panel.balance = answer
    _expect(await deployment.faults(), fault)


async def test_a_panel_s_clock_that_differs_is_told(deployment: Deployment, panel: Panel) -> None:
    panel.late = timedelta(hours=1)
    _expect(await deployment.faults(), ("warn", "clock", "s behind"))


async def test_open_alerts_are_told(deployment: Deployment, pool: Pool) -> None:
    await pool.execute("update audit_watch set broken = 1, ran_at = now()")
    await look(pool, SettingsModel())
    _expect(await deployment.faults(), ("warn", "alerts", "audit-failure"))


async def test_rights_that_the_application_should_not_have_are_told(
    deployment: Deployment, engines: Addresses, engines_dir: Path, database_url: str
) -> None:
    _expect(
        await deployment.faults(database__url=database_url),
        ("warn", "database role", "owns the tables"),
    )
    path = urlsplit(database_url).path
    above = urlsplit(superuser_url(engines, engines_dir))._replace(path=path).geturl()
    faults = await deployment.faults(database__url=above)
    _expect(faults, ("fail", "database role", "is a superuser"))


async def test_a_server_that_may_lose_what_it_has_acknowledged_is_told(
    deployment: Deployment, pool: Pool
) -> None:
    name = await pool.fetchval("select current_database()")
    await pool.execute(f"alter database {name} set synchronous_commit = off")
    _expect(await deployment.faults(), ("fail", "durability", "synchronous_commit is off"))


async def test_a_valkey_that_forgets_limits_is_told(deployment: Deployment, redis_url: str) -> None:
    client = open_client(redis_url, timeout_seconds=5)
    before = await client.config_get("maxmemory*")
    try:
        await client.config_set("maxmemory", "1gb")
        await client.config_set("maxmemory-policy", "allkeys-lru")
        faults = await deployment.faults()
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            await client.config_set(name, str(before[name]))
        await close_client(client)
    _expect(faults, ("warn", "valkey", "allkeys-lru"))


async def test_secrets_in_files_that_others_may_read_are_told(
    deployment: Deployment, command: Command, tmp_path: Path
) -> None:
    file = command.folder / "config.yaml"
    file.write_text(f"security: {{pepper: {PEPPER!r}}}\n")
    file.chmod(0o644)
    _expect(await deployment.faults(security__pepper=None), ("fail", "file rights", str(file.name)))
    file.chmod(0o600)
    assert not [f for f in await deployment.faults(security__pepper=None) if f[1] == "file rights"]
    data = tmp_path / "data"
    data.mkdir()
    kept = data / "pepper"
    kept.write_text(PEPPER)
    kept.chmod(0o640)
    file.unlink()
    faults = await deployment.faults(security__pepper=None)
    _expect(faults, ("fail", "file rights", "data/pepper"))
    _expect(faults, ("warn", "pepper", "in the data directory"))


def test_little_room_is_told_before_it_is_none() -> None:
    gigabyte = 10**9
    levels = [judge_room("/data", size * gigabyte).level for size in (0, 2, 9)]
    assert levels == [Level.FAIL, Level.WARN, Level.OK]


def test_clocks_that_differ_are_told() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    levels = [of_clock("its", now, now.timestamp() + apart).level for apart in (1, -10, 100)]
    assert levels == [Level.OK, Level.WARN, Level.FAIL]


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_survive_a_power_cut_is_told(setting: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    health = ServerHealth("18.1", 180_001, "app", False, False, {setting: "off"}, now)
    [found] = [line for line in of_server(health, embedded=False) if line.level is Level.FAIL]
    assert found.check == "durability"
    assert setting in found.words


def test_a_server_that_is_too_old_is_told() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    old = ServerHealth("14.9", 140_009, "app", superuser=False, owns=False, settings={}, now=now)
    [first, *_] = of_server(old, embedded=False)
    assert (first.level, first.cure) == (Level.FAIL, "use 15 or newer")
