"""A service with two routes, to two sandbox panels: the first choice and the one after it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.catalogue.routes import make_route
from gateway.catalogue.upstreams import adapt
from gateway.orders.failover import Outcome
from providers.panel_v2 import PanelV2
from schemas.catalogue import NewRoute
from tests.orders.line import Line, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, KEYS, World

#: What both panels call the service.
UPSTREAM = "101"


@dataclass(frozen=True)
class Pair:
    """Two lines that share everything but their provider."""

    first: Line
    second: Line
    service: int

    @property
    def world(self) -> World:
        """Where both live."""
        return self.first.world

    async def place(self, *links: str) -> list[int]:
        """Accepted orders, none of them sent."""
        return await self.first.place(*links, upstream=UPSTREAM)

    async def send(self) -> list[Outcome]:
        """Send once what waits at the first, then what waits at the second."""
        return [*await self.first.send(), *await self.second.send()]

    async def due(self) -> None:
        """Let nothing that is queued wait for its time."""
        async with self.first.pool.acquire() as conn:
            await conn.execute("update orders set next_at = now() where state = 'queued'")

    async def row(self, number: int) -> Mapping[str, Any]:
        """One order as it is stored."""
        return await self.first.row(number)

    def accepted(self, link: str) -> tuple[int, int]:
        """How many orders of this link each panel has accepted."""
        return self.first.upstream_orders(link), self.second.upstream_orders(link)

    def asked(self, link: str) -> tuple[int, int]:
        """How often each panel has read an ``add`` for this link."""
        return self.first.upstream_requests(link), self.second.upstream_requests(link)


async def misbehave(panel: SandboxProcess, fault: str, times: int = 1_000) -> None:
    """Let a panel answer the next orders like that, whatever their links say."""
    await panel.control("faults", {"action": "add", "fault": fault, "times": times})


@asynccontextmanager
async def open_pair(
    world: World, panel: SandboxProcess, folder: Path, **options: Any
) -> AsyncIterator[Pair]:
    """Two panels, and a service that the second delivers when the first does not."""
    async with SandboxProcess(folder) as other, open_line(world, panel, **options) as line:
        record = await world.provider(other.url, other.key, "second", in_flight=1_000)
        services = line.catalogue.current.services.values()
        service = next(s for s in services if s.routes[0].upstream_service == UPSTREAM)
        cost = service.routes[0].cost + 10
        await make_route(
            world.pool, NewRoute(service.id, record.id, UPSTREAM, cost, 200, 1), BY_TEST
        )
        async with world.pool.acquire() as conn:
            await line.catalogue.refresh(conn)
        assert isinstance(line.adapter, PanelV2)
        adapter = adapt(record, line.adapter._transport, KEYS)[0]
        yield Pair(line, replace(line, provider=record, adapter=adapter, panel=other), service.id)
