"""The stage of a benchmark: engines, a filled database, and every party as its own process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from subprocess import PIPE

from gateway.embedded import Addresses, EmbeddedEngines
from gateway.store import prices, services
from gateway.store.connection import Pool, open_pool, transaction
from gateway.store.migrate import migrate
from schemas.catalogue import NewService, PriceRule
from schemas.config import Budget, DatabaseSettings
from schemas.providers import ProviderRecord
from tests.bench.bare import Instructions
from tests.bench.load import Measurement, Result
from tests.sandbox_process import SandboxProcess
from tests.world import PEPPER, Customer, World

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


@asynccontextmanager
async def gateway(engines: Addresses, folder: Path) -> AsyncIterator[tuple[int, Party]]:
    """The gateway with its defaults, logging JSON to a file: its port and process.

    Only the limits are out of reach: calls are counted against them all the same.
    """
    environment = {
        "SMM_DATABASE__URL": engines.database_url,
        "SMM_REDIS__URL": engines.redis_url,
        "SMM_SECURITY__PEPPER": PEPPER,
        "SMM_LIMITS__REQUESTS_PER_SECOND": "100000",
        "SMM_LIMITS__BURST": "1000000",
    }
    log = folder / "gateway.log"
    async with party("gateway", "serve", "--port", "0", log=log, environment=environment) as it:
        url = (await it.hear()).removeprefix("API: ")
        yield int(url.split(":")[2].split("/")[0]), it


@asynccontextmanager
async def bare(
    engines: Addresses, folder: Path, answers: dict[str, str]
) -> AsyncIterator[tuple[int, Party]]:
    """The bare handler: its port and process."""
    instructions = Instructions(engines.database_url, DatabaseSettings().pool_size, answers)
    async with party("tests.bench.bare", log=folder / "bare.log") as it:
        await it.tell(instructions.line())
        yield int(await it.hear()), it


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
    """Everything but the two servers that are compared."""
    async with (
        EmbeddedEngines(folder / "engines") as engines,
        SandboxProcess(folder / "sandbox") as sandbox,
        party("tests.bench.load", log=folder / "load.log") as load,
    ):
        pool = await open_pool(engines.database_url, size=3)
        try:
            yield Stage(engines, pool, await _fill(pool, sandbox), Load(load))
        finally:
            await pool.close()


async def _fill(pool: Pool, sandbox: SandboxProcess) -> Filled:
    """Migrate; the sandbox as a provider with the default budget; services, rich resellers."""
    async with pool.acquire() as conn:
        await migrate(conn)
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
