"""The demo: engines, sandbox panel, gateway and a funded reseller, set up once and kept."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.app import Gateway
from gateway.catalogue import importing, upstreams
from gateway.cli.session import PEPPER_FILE, keep_master_key
from gateway.config import Settings, require_master_keys, require_peppers
from gateway.database import connect, migrate_database
from gateway.embedded import EmbeddedEngines
from gateway.embedded.child import Child
from gateway.embedded.files import write_private
from gateway.embedded.place import Place
from gateway.errors import UserError
from gateway.operators.accounts import create_operator, list_operators, reset_operator
from gateway.resellers import accounts
from gateway.resellers.adjusting import move_money
from gateway.store import ledger, providers, resellers, services
from gateway.store.connection import Connection, Pool
from providers.transport import Transport
from schemas.money import UNIT
from schemas.money_moves import MoneyCause, MoneyMove
from schemas.operators import Actor, Role, Warrant
from schemas.providers import ProviderRecord

_SANDBOX = "sandbox"
_RESELLER = "demo"
_OPERATOR = "demo"
_KEY_FILE = "demo_api_key"
_FUNDS = 1_000 * UNIT
_WARRANT = Warrant(Actor("demo", Role.OWNER), "to try things with")
_BUDGET = {"adds_per_minute": 6_000, "reads_per_minute": 600, "in_flight": 20}
_SANDBOX_PATIENCE_SECONDS = 20.0
#: A demo's orders should move while one watches.
_DEMO_TRACKING = {"first_ms": 1_000, "idle_ms": 250}
#: And one may want to try a refill without waiting for a day.
_DEMO_REFILLS = {"wait_ms": 5_000}


def forget_ready_file(file: Path | None) -> None:
    """Take away what an earlier demo left, so that nobody takes it for the coming one's.

    Raises:
        UserError: when it cannot be taken away.
    """
    if file is not None and not os.access(file.absolute().parent, os.W_OK | os.X_OK):
        raise UserError(f"--ready-file {file}: there is no folder that it can be written to")
    try:
        if file is not None:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--ready-file {file} cannot be replaced: {error.strerror}") from None


async def run(settings: Settings, data_dir: Path, ready_file: Path | None) -> int:
    """Set up what is missing, start everything, say what to try, and stay until cancelled."""
    own = EmbeddedEngines(data_dir, settings.backup.archive_dir)
    _tell(f"Starting PostgreSQL, Valkey and the sandbox panel in {data_dir}")
    async with own as addresses, _sandbox(data_dir) as (panel, panel_key, child):
        _keep_pepper(data_dir)
        settings = keep_master_key(_for_demo(settings, data_dir))
        await migrate_database(settings, addresses.database_url)
        pool = await connect(settings, addresses.database_url)
        try:
            key = await prepare(settings, data_dir, pool, panel, panel_key)
            token = await _invite(pool)
        finally:
            await pool.close()
        async with Gateway(settings, addresses.database_url, addresses.redis_url) as gateway:
            ready = {
                "api_url": gateway.api_url,
                "api_key": key,
                "metrics_url": f"{gateway.internal_url}/metrics",
                "sandbox_url": panel,
                "console_url": f"{gateway.console_url}/ops",
                "database_url": addresses.database_url,
                "pid": os.getpid(),
            }
            if ready_file is not None:
                write_private(ready_file, json.dumps(ready))
            print(_what_to_try(gateway, key, panel, data_dir, token), flush=True)
            raise UserError(await _first_failure(own, child))


def _tell(step: str) -> None:
    """Show that it goes on, apart from what the command prints."""
    print(step, file=sys.stderr, flush=True)


def _for_demo(settings: Settings, data_dir: Path) -> Settings:
    tracking = settings.tracking.model_copy(update=_DEMO_TRACKING)
    refills = settings.refills.model_copy(update=_DEMO_REFILLS)
    port = settings.ops.port
    if port is None:
        port = settings.http.port + 1 if settings.http.port else 0
    ops = settings.ops.model_copy(update={"port": port, "development": True})
    return settings.model_copy(
        update={"data_dir": data_dir, "tracking": tracking, "refills": refills, "ops": ops}
    )


async def _invite(pool: Pool) -> str | None:
    """The console's operator; a welcome link as long as no password is set."""
    found = {operator.name: operator for operator in await list_operators(pool)}
    if _OPERATOR not in found:
        return await create_operator(pool, _WARRANT, _OPERATOR, Role.OWNER)
    if found[_OPERATOR].has_password:
        return None
    return await reset_operator(pool, _WARRANT, _OPERATOR)


def _keep_pepper(data_dir: Path) -> None:
    file = data_dir / PEPPER_FILE
    if not file.exists():
        write_private(file, secrets.token_urlsafe(48))


@asynccontextmanager
async def _sandbox(data_dir: Path) -> AsyncIterator[tuple[str, str, Child]]:
    """The sandbox panel as a process of its own, on a free port: its address, key and process."""
    folder = data_dir / _SANDBOX
    folder.mkdir(mode=0o700, exist_ok=True)
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    files = ["--data-dir", str(folder), "--ready-file", str(ready)]
    child = Child.spawn(
        [sys.executable, "-m", "providers.sandbox", *files],
        place=Place(data_dir, folder, None),
        log=folder / "panel.log",
        death_signal=signal.SIGTERM,
    )
    try:
        async with asyncio.timeout(_SANDBOX_PATIENCE_SECONDS):
            while not ready.exists():
                if child.exit_code() is not None:
                    raise UserError(f"the sandbox panel did not start: {child.last_words()}")
                await asyncio.sleep(0.02)
        found = json.loads(ready.read_text())
        yield found["url"], found["key"], child
    except TimeoutError:
        raise UserError(f"the sandbox panel did not answer: see {child.log}") from None
    finally:
        await child.stop([(signal.SIGTERM, 5.0)])


async def _first_failure(own: EmbeddedEngines, child: Child) -> str:
    async def sandbox_failed() -> str:
        while child.exit_code() is None:
            await asyncio.sleep(0.2)
        return f"the sandbox panel stopped: {child.last_words()}"

    tasks = [asyncio.ensure_future(own.wait_failed()), asyncio.ensure_future(sandbox_failed())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()


async def prepare(
    settings: Settings, data_dir: Path, pool: Pool, panel: str, panel_key: str
) -> str:
    """Reseller, funds, provider, services and key: each made where its own result is missing.

    A first start may end between any two of them, and the next one goes on from there.
    """
    async with pool.acquire() as conn:
        reseller = await resellers.get_reseller(conn, _RESELLER)
        if reseller is None:
            reseller = await accounts.create_reseller(
                conn, _RESELLER, "demo@example.com", settings.currency, settings.currency, _WARRANT
            )
        if await ledger.count_entries(conn, reseller.id) == 0:
            funds = MoneyMove(_RESELLER, MoneyCause.TOPUP, _FUNDS)
            await move_money(pool, funds, _WARRANT, confirm_above=None)
        await _connect_sandbox(settings, conn, pool, panel, panel_key)
        file = data_dir / _KEY_FILE
        if not file.exists():
            _, key = await accounts.issue_key(conn, _RESELLER, require_peppers(settings), _WARRANT)
            write_private(file, key)
        return file.read_text().strip()


async def _connect_sandbox(
    settings: Settings, conn: Connection, pool: Pool, panel: str, panel_key: str
) -> None:
    async with Transport(upstreams.timeouts(settings.dispatch)) as transport:
        record = await _account(settings, conn, transport, panel, panel_key)
        if await services.list_services(conn):
            return
        adapter, _ = upstreams.adapt(record, transport, require_master_keys(settings))
        catalogue = await adapter.services()
    _tell(f"Importing {len(catalogue.services)} services")
    await importing.import_services(pool, record, catalogue, settings, _WARRANT)


async def _account(
    settings: Settings, conn: Connection, transport: Transport, panel: str, panel_key: str
) -> ProviderRecord:
    known = await providers.get_provider(conn, _SANDBOX)
    if known is None:
        return await upstreams.add_provider(
            conn,
            transport,
            name=_SANDBOX,
            kind="panel_v2",
            url=panel,
            key=panel_key,
            options=dict(_BUDGET),
            settings=settings,
            keys=require_master_keys(settings),
            warrant=_WARRANT,
        )
    # Its port is another one at each start.
    await providers.set_provider_address(conn, known.id, panel)
    return await upstreams.find_provider(conn, _SANDBOX)


def _what_to_try(gateway: Gateway, key: str, panel: str, data_dir: Path, token: str | None) -> str:
    url = gateway.api_url

    console = f"{gateway.console_url}/ops"
    if token is not None:
        console += f"/welcome/{token}  (once: choose the password of {_OPERATOR})"

    def call(action: str) -> str:
        return f"  curl -d 'key={key}&{action}' {url}"

    lines = [
        "",
        "smm-gateway is running. Try:",
        "",
        call("action=balance"),
        call("action=services"),
        call("action=add&service=1&link=https://instagram.com/p/example&quantity=1000"),
        call("action=status&order=1"),
        call("action=status&orders=1,2"),
        call("action=refill&order=1"),
        call("action=refill_status&refill=1"),
        call("action=cancel&orders=1,2"),
        "",
        f"  API       {url}",
        f"  console   {console}",
        f"  metrics   {gateway.internal_url}/metrics",
        f"  health    {gateway.internal_url}/readyz",
        f"  sandbox   {panel}  (the upstream panel)",
        f"  data      {data_dir}",
        "",
        f"  SMM_DATA_DIR={data_dir} .venv/bin/smm-gateway order list",
        "",
        "Ctrl-C ends everything; the next start finds these orders again.",
        "",
    ]
    return "\n".join(lines)
