"""The stage of a benchmark: engines, a filled database, and every party as its own process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from subprocess import PIPE

from gateway.embedded import Addresses, EmbeddedEngines, erase
from gateway.store import prices, services
from gateway.store.connection import Pool, open_pool, transaction
from gateway.store.migrate import migrate
from schemas.catalogue import NewService, PriceRule
from schemas.config import Budget, DatabaseSettings
from schemas.providers import ProviderRecord
from tests.bench.bare import Instructions
from tests.bench.load import Measurement, Result
from tests.bench.processor import with_children
from tests.sandbox_process import SandboxProcess
from tests.world import MASTER_KEYS, PEPPER, Customer, World

ROOT = Path(__file__).resolve().parents[2]
RESELLERS = 200
SERVICES = 10_000
#: So many of the resellers have prices of their own, half of them the same.
OWN_PRICES = 10
FUNDS = "100000000"


@dataclass(frozen=True, slots=True)
class Filled:
    """What the database was filled with."""

    resellers: list[Customer]
    service: int


class Party:
    """A child process that reads lines and answers with lines; its log goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def tell(self, line: str) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        await self._process.stdin.drain()

    async def hear(self, seconds: float = 60) -> str:
        """The next line of its standard output."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark ended: see its log")
        return line.decode().strip()

    async def end(self) -> None:
        """Ask it to end, and wait."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


@asynccontextmanager
async def party(
    module: str, *arguments: str, log: Path, environment: dict[str, str] | None = None
) -> AsyncIterator[Party]:
    """Run ``python -m module`` as long as the block."""
    command = [sys.executable, "-m", module, *arguments]
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=errors,
            env=os.environ | (environment or {}),
        )  # fmt: skip
    child = Party(process)
    try:
        yield child
    finally:
        await child.end()


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be asked: its port, and the processes that it started with."""

    port: int
    roots: tuple[int, ...]

    @property
    def pids(self) -> list[int]:
        """All its processes now."""
        return [pid for root in self.roots for pid in with_children(root)]


@asynccontextmanager
async def gateway(
    engines: Addresses,
    folder: Path,
    name: str = "gateway",
    *,
    workers: int = 1,
    module: str = "gateway",
    **settings: str,
) -> AsyncIterator[Server]:
    """The gateway with its defaults, logging JSON to a file.

    Only the limits are out of reach: calls are counted against them all the same. ``module`` is
    what runs its command line.
    """
    environment = settings | {
        "SMM_DATABASE__URL": engines.database_url,
        "SMM_REDIS__URL": engines.redis_url,
        "SMM_SECURITY__PEPPER": PEPPER,
        "SMM_SECURITY__MASTER_KEYS": MASTER_KEYS,
        "SMM_LIMITS__REQUESTS_PER_SECOND": "100000",
        "SMM_LIMITS__BURST": "1000000",
    }
    command = ["serve", "--port", "0"]
    if workers > 1:
        command += ["--workers", str(workers)]
    log = folder / f"{name}.log"
    async with party(module, *command, log=log, environment=environment) as it:
        url = (await it.hear()).removeprefix("API: ")
        yield Server(int(url.split(":")[2].split("/")[0]), (it.pid,))


@asynccontextmanager
async def bare(
    engines: Addresses, folder: Path, answers: dict[str, str], processes: int = 1
) -> AsyncIterator[Server]:
    """The bare handler, as so many processes on one port."""
    parties, port = [], 0
    async with AsyncExitStack() as stack:
        for number in range(processes):
            log = folder / f"bare-{processes}-{number}.log"
            it = await stack.enter_async_context(party("tests.bench.bare", log=log))
            instructions = Instructions(
                engines.database_url, DatabaseSettings().pool_size, answers, port
            )
            await it.tell(instructions.line())
            port = int(await it.hear())
            parties.append(it)
        yield Server(port, tuple(it.pid for it in parties))


@asynccontextmanager
async def panel(folder: Path, *, latency: float) -> AsyncIterator[tuple[str, Party]]:
    """A panel that costs little and answers orders after ``latency`` seconds: its address."""
    async with party("tests.bench.panel", log=folder / "panel.log") as it:
        await it.tell(json.dumps({"latency": latency}) + "\n")
        yield f"http://127.0.0.1:{await it.hear()}/api/v2", it


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[tuple[Addresses, Pool]]:
    """Embedded engines with a migrated, empty database, and a pool on it; nothing is left."""
    try:
        async with EmbeddedEngines(folder / "engines") as engines:
            pool = await open_pool(engines.database_url, size=3)
            try:
                async with pool.acquire() as conn:
                    await migrate(conn)
                yield engines, pool
            finally:
                await pool.close()
    finally:
        erase(folder / "engines")


@asynccontextmanager
async def load(folder: Path) -> AsyncIterator["Load"]:
    """The load generator."""
    async with party("tests.bench.load", log=folder / "load.log") as it:
        yield Load(it)


class Load:
    """The load generator."""

    def __init__(self, process: Party) -> None:
        self._process = process

    async def measure(self, measurement: Measurement) -> Result:
        """Run one measurement; every answer must have been right."""
        await self._process.tell(json.dumps(asdict(measurement)) + "\n")
        result = Result(**json.loads(await self._process.hear()))
        if result.wrong:
            raise RuntimeError(f"a wrong answer: {result.wrong[0]}")
        return result


@dataclass(frozen=True, slots=True)
class Stage:
    """Engines, a pool on the filled database, and the sandbox panel behind its provider."""

    engines: Addresses
    pool: Pool
    filled: Filled
    load: Load


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Everything but the servers that are compared."""
    async with (
        database(folder) as (engines, pool),
        SandboxProcess(folder / "sandbox") as sandbox,
        load(folder) as clients,
    ):
        yield Stage(engines, pool, await _fill(pool, sandbox), clients)


async def _fill(pool: Pool, sandbox: SandboxProcess) -> Filled:
    """The sandbox as a provider with the default budget; services, rich resellers."""
    world = World(pool)
    provider = await world.sandbox(sandbox, **Budget().model_dump())
    async with pool.acquire() as conn, transaction(conn):
        offered = await services.list_services(conn)
        missing = SERVICES - sum(service.enabled for service in offered)
        await services.insert_services(
            conn, provider.id, [_service(provider, n) for n in range(missing)]
        )
    service = next(s for s in offered if s.type == "Default" and s.enabled)
    names = [f"reseller-{n}" for n in range(RESELLERS)]
    made = [await world.reseller(name, funds=FUNDS) for name in names]
    async with pool.acquire() as conn:
        for nth, reseller in enumerate(made[-OWN_PRICES:]):
            markup = Decimal(10 + nth // 2)
            await prices.set_price_rule(conn, PriceRule(0, markup, reseller_id=reseller.id))
    return Filled(made, service.id)


def _service(provider: ProviderRecord, number: int) -> NewService:
    return NewService(
        upstream_service=f"{provider.name}-{number}",
        name=f"Instagram Followers [Real, 30 days refill] {number}",
        type="Default",
        category=f"Instagram, followers {number // 100}",
        rate=None,
        minimum=50,
        maximum=10_000,
        dripfeed=False,
        refill=False,
        cancel=False,
        enabled=True,
        disabled_reason=None,
        cost=500_000 + number * 10,
    )


async def database_pids(pool: Pool) -> list[int]:
    """All processes of the database server."""
    async with pool.acquire() as conn:
        return [row["pid"] for row in await conn.fetch("select pid from pg_stat_activity")]
