"""Where a run with faults takes place: gateways, a panel and resellers, all of it breakable.

::

    clients ──▶ gateways ──▶ proxy ──▶ PostgreSQL, Valkey
                   └───────▶ proxy ──▶ sandbox panel
"""

import asyncio
import json
import random
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from gateway.store.connection import open_pool
from schemas.money import Micros, parse_amount, parse_rate
from tests.conftest import eventually
from tests.faults.bank import Inspector
from tests.faults.engines import KillableEngines
from tests.faults.journal import Journal
from tests.faults.load import Caller, Habit, Load, Offer
from tests.faults.proxy import ChaosProxy
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

#: Impatient, so that what was held by the dead is decided within the run.
SETTINGS: dict[str, dict[str, object]] = {
    "dispatch": {
        "timeout_ms": 1500,
        "connect_timeout_ms": 500,
        "retry_first_ms": 50,
        "retry_last_ms": 300,
        "hold_ms": 50,
    },
    "tracking": {"first_ms": 200, "last_ms": 1000, "idle_ms": 50},
    "refills": {"wait_ms": 0},
    "reconcile": {"interval_ms": 1000, "quarantine_ms": 10_000, "deadline_ms": 60_000},
}
_JOURNAL, _NOTE = "journal.jsonl", "arena.json"
#: Who orders nothing but floods.
FLOODER = "flooder"
_FUNDS = {FLOODER: "1000000", "acme": "100000", "careful": "100000", "lone": "100000", "poor": "1"}
#: A machine that does all of this at once may take its time.
START_SECONDS = 120
#: One process that does everything, one that only answers, and one that only sends and tracks.
_ROLES = ("all", "web", "worker")


class Arena:
    """One world on killable engines. ``async with`` builds it and ends it.

    ``seed`` draws what clients do; ``folder`` keeps all that the run wrote, for the judge.
    ``order_list``: the panel tells which orders it has. Clients think for up to
    ``longest_thought`` seconds between two calls.
    """

    def __init__(
        self,
        engines: KillableEngines,
        folder: Path,
        *,
        seed: object,
        order_list: bool = False,
        longest_thought: float = 0.08,
    ) -> None:
        self.order_list = order_list
        self._longest_thought = longest_thought
        self.engines = engines
        self.folder = folder
        self.seed = seed
        self.database = f"arena_{secrets.token_hex(4)}"
        self.canary = f"canary{secrets.token_hex(8)}"
        self.journal = Journal(folder / _JOURNAL)
        self.inspector = Inspector(lambda: engines.direct_url_of(self.database))
        self.panel = SandboxProcess(folder / "panel", seconds=2)
        self.customers: dict[str, Customer] = {}
        self.gateways: list[GatewayProcess] = []
        self.offer: Offer
        self.load: Load

    @classmethod
    def resumed(cls, engines: KillableEngines, folder: Path) -> Self:
        """The arena of a run that was killed, as it was noted, with its clients' journal."""
        kept = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        arena = cls(engines, folder, seed=kept["seed"])
        arena.database, arena.canary = kept["database"], kept["canary"]
        arena.customers = {name: Customer(*values) for name, values in kept["customers"].items()}
        arena.journal = Journal.read(folder / _JOURNAL)
        return arena

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            await self._build(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def restart_panel(self) -> None:
        """Start the panel that was killed; it knows its orders, but not how it was to behave."""
        await self.panel.start()
        await self._set_conduct()

    async def _set_conduct(self) -> None:
        await self.panel.control("conduct", {"order_list": self.order_list})

    async def _build(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.panel)
        await self._set_conduct()
        self.panel_proxy = await stack.enter_async_context(ChaosProxy.before(self.panel.url))
        if not self.customers:
            await self.engines.make_database(self.database)
            await self._furnish()
        await self._lead_to_the_panel()
        for role in _ROLES:
            gateway = GatewayProcess(
                self.engines.url_of(self.database),
                self.engines.cache.url,
                self.folder / f"{role}.log",
                settings=SETTINGS,
                role=role,
                start_seconds=START_SECONDS,
            )
            self.gateways.append(await stack.enter_async_context(gateway))
        self.offer = await self._offer()
        self.load = Load(
            self.urls,
            self._callers(),
            self.offer,
            self.journal,
            seed=f"{self.canary}-{self.seed}",
            most=10**9,
            longest_thought=self._longest_thought,
        )
        await stack.enter_async_context(self.inspector)

    async def _furnish(self) -> None:
        pool = await open_pool(self.engines.direct_url_of(self.database), size=2)
        try:
            world = World(pool)
            await world.sandbox(self.panel, order_list=self.order_list)
            for name, funds in _FUNDS.items():
                self.customers[name] = await world.reseller(name, funds=funds)
        finally:
            await pool.close()

    async def _lead_to_the_panel(self) -> None:
        """Gateways reach the panel by way of its proxy."""
        async with self.engines.superuser(self.database) as conn:
            url = self.panel_proxy.through(self.panel.url)
            await conn.execute("update provider set url = $1", url)

    async def _offer(self) -> Offer:
        async with PanelClient(self.gateways[0].url, self.customers["acme"].key) as client:
            listed = await client.call("services")
        service = next(s for s in listed if s["type"] == "Default" and s["refill"] and s["cancel"])
        return Offer(service["service"], int(service["min"]), parse_rate(service["rate"]))

    def _callers(self) -> Sequence[Caller]:
        acme, careful = self.customers["acme"], self.customers["careful"]
        return [
            *[Caller(acme, Habit.CARELESS, looks=0.3)] * 3,
            *[Caller(careful, Habit.NAMED, looks=0.3)] * 3,
            *[Caller(careful, Habit.BLIND, looks=0.3)] * 3,
            Caller(careful, Habit.TWINS, looks=0.3),
            Caller(self.customers["lone"], Habit.NAMED, looks=0.2, alone=True),
            Caller(self.customers["poor"], Habit.TWINS),
        ]

    @property
    def urls(self) -> list[str]:
        """Where the API is answered."""
        return [gateway.url for gateway in self.gateways if gateway.role != "worker"]

    @property
    def funds(self) -> dict[int, Micros]:
        """What each reseller was given."""
        return {c.id: parse_amount(_FUNDS[name]) for name, c in self.customers.items()}

    @property
    def alone(self) -> frozenset[int]:
        """The resellers with one client, whose orders are never refunded."""
        return frozenset({self.customers["lone"].id})

    def drawn_gateway(self, chance: random.Random, *roles: str) -> GatewayProcess:
        """One of the gateways, of these roles where any are named."""
        return chance.choice([g for g in self.gateways if not roles or g.role in roles])

    async def heal(self) -> None:
        """End every fault: all parts run, and the networks are honest."""
        for proxy in (self.engines.database.proxy, self.engines.cache.proxy, self.panel_proxy):
            proxy.slice_bytes = None
            proxy.latency = dict.fromkeys(proxy.latency, 0.0)
            proxy.heal()
        await self.panel.control("faults", method="DELETE")
        await self.engines.answering()
        for gateway in self.gateways:
            if not gateway.alive:
                await gateway.start()

    async def come_to_rest(self, seconds: float = 90, *, decided: bool = False) -> None:
        """Wait until nothing is on its way any more; what is frozen stays so.

        With ``decided``, until everything in doubt is resolved or left to a person.
        """
        moving_states = ["queued", "sending", *(["unknown"] if decided else [])]

        async def at_rest() -> bool:
            async with self.engines.superuser(self.database) as conn:
                moving: int = await conn.fetchval(
                    """select (select count(*) from orders where state = any($1))
                            + (select count(*) from refill where state in ('requested', 'sending'))
                    """,
                    moving_states,
                )
            return moving == 0

        await eventually(at_rest, seconds=seconds, every=0.2)
        await self.panel.control("speed", {"seconds": None})
        await asyncio.sleep(0)

    def secrets(self) -> dict[str, str]:
        """What must not be in anything that is printed, by what it is."""
        found = {f"the key of {name}": c.key for name, c in self.customers.items()}
        found["the key at the panel"] = self.panel.key
        found["the link of a customer"] = self.canary
        found["the database's password"] = self.engines.secrets.database
        found["the cache's password"] = self.engines.secrets.redis
        return found

    def note(self) -> None:
        """Keep what the judge needs besides the journal, for a run that is killed."""
        kept = {
            "database": self.database,
            "seed": str(self.seed),
            "canary": self.canary,
            "customers": {name: (c.id, c.name, c.key) for name, c in self.customers.items()},
        }
        (self.folder / _NOTE).write_text(json.dumps(kept), encoding="utf-8")
