"""A gateway under load on servers that fail over, and the verdict at the end."""

import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool
from gateway.store.migrate import migrate
from tests.application_role import as_application, give_rights
from tests.conftest import eventually
from tests.faults.arena import START_SECONDS
from tests.faults.checker import violations
from tests.faults.client import PATIENCE_SECONDS
from tests.faults.gathering import assert_sound, come_to_rest, evidence, furnish, offer, watching
from tests.faults.journal import Journal, Outcome
from tests.faults.load import Caller, Habit, Load
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer

#: ``FAILOVERS=30`` makes a longer run.
FAILOVERS = int(os.environ.get("FAILOVERS", "1"))
#: Clients who order again, without a name, what was not answered.
_BLIND = 5
_SETTINGS = {
    "dispatch": {"timeout_ms": 1500, "connect_timeout_ms": 500},
    "tracking": {"first_ms": 200, "last_ms": 1000, "idle_ms": 50},
}


class Servers(Protocol):
    """What a cluster must tell: the owner's URL of all servers, and of the primary alone."""

    @property
    def url(self) -> str: ...
    @property
    def primary_url(self) -> str: ...


@dataclass
class Stage:
    """A gateway on a cluster, with clients who order from it."""

    cluster: Servers
    gateway: GatewayProcess
    panel: SandboxProcess
    load: Load
    customers: list[Customer]
    seed: int
    gaps: list[float] = field(default_factory=list)

    def told(self, outcome: Outcome) -> int:
        """How many clients were told that."""
        return sum(add.outcome is outcome for add in self.load.adds)

    async def orders_more(self, number: int) -> None:
        """Wait until that many more orders were acknowledged."""
        goal = self.told(Outcome.OK) + number
        self.load.go()

        async def reached() -> bool:
            return self.told(Outcome.OK) >= goal

        await eventually(reached, seconds=60)

    async def told_of(self, first: int, last: int) -> frozenset[int]:
        """Which of these order ids a client is told of who asks for them all."""
        ids = ",".join(map(str, range(first, last + 1)))
        async with PanelClient(self.gateway.url, self.customers[0].key) as client:
            answer = await client.call("status", orders=ids)
        # Without a database the answer as a whole is an error, and tells of nothing.
        told = {} if "error" in answer else answer
        return frozenset(int(id_) for id_, order in told.items() if "status" in order)

    def failed_over(self, seconds: float) -> None:
        """Note a failover, and how long no order was acknowledged."""
        self.gaps.append(seconds)

    async def assert_nothing_is_lost(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Print what happened, and let nothing be wrong."""
        wrong, report = await self.judge()
        with capsys.disabled():
            print("\n" + report)
        assert not wrong, "\n".join([*wrong[:20], report])
        await assert_sound(self.cluster.primary_url)

    async def judge(self) -> tuple[list[str], str]:
        """What is wrong at the end, and a report for people."""
        async with watching(self.cluster.primary_url) as conn:
            await come_to_rest(conn, self.panel)
            await self.gateway.stop()  # else refunds go on between two looks
            found = await evidence(conn, self.load, self.panel, self.customers)
        told = Counter(str(add.outcome) for add in found.adds)
        states = Counter(order.state for order in found.orders)
        gaps = ", ".join(f"{gap:.1f}" for gap in self.gaps)
        report = (
            f"failovers: {len(self.gaps)}, seed {self.seed}, seconds without orders: {gaps}"
            f"\n  adds: {dict(told)}\n  orders: {dict(states)}"
        )
        return violations(found), report


@asynccontextmanager
async def set_up(
    folder: Path,
    cluster: Servers,
    engines: Addresses,
    *,
    patience: float = PATIENCE_SECONDS,
    hold_ms: int = 25_000,
    blind: int = _BLIND,
) -> AsyncIterator[Stage]:
    """A gateway, a panel and clients on a cluster, whose database is migrated and filled.

    Clients give an answer up after ``patience`` seconds, the gateway holds it for ``hold_ms``. Of
    nine, so many are ``blind``, whose orders are never refunded.
    """
    seed = secrets.randbits(32)
    async with SandboxProcess(folder / "sandbox", seconds=3) as panel:
        await _migrate(cluster.url)
        customers = await furnish(cluster.url, panel)
        gateway = GatewayProcess(
            as_application(cluster.url),
            engines.redis_url,
            folder / "gateway.log",
            settings=_SETTINGS | {"intake": {"hold_ms": hold_ms}},
            start_seconds=START_SECONDS,
        )
        async with gateway:
            load = Load(
                [gateway.url],
                [
                    *[Caller(customers[0], Habit.BLIND)] * blind,
                    *[Caller(customers[0])] * (9 - blind),
                    Caller(customers[1]),
                ],
                await offer(gateway, customers[0]),
                Journal(),
                seed=seed,
                most=100_000,
                longest_thought=0.08,
                patience=patience,
            )
            yield Stage(cluster, gateway, panel, load, customers, seed)


async def _migrate(url: str) -> None:
    pool = await open_pool(url, size=1)
    async with pool.acquire() as conn:
        await migrate(conn)
        await give_rights(conn)
    await pool.close()
