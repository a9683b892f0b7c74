"""A gateway in the middle of a working day: orders in every state, for pages to show."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.app import Gateway
from gateway.store.connection import Pool
from tests.conftest import OpenGateway, eventually
from tests.orders.doubting import SHIFTED
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

#: Doubts are looked at all the time, orders end within seconds.
_SETTINGS: dict[str, dict[str, Any]] = {
    "dispatch": {"timeout_ms": 3_000, "connect_timeout_ms": 1_000},
    "tracking": {"first_ms": 100, "last_ms": 500},
    "reconcile": {"interval_ms": 20, "quarantine_ms": 40, "deadline_ms": 60},
    "refills": {"wait_ms": 0},
    "ops": {"port": 0, "url": "https://ops.example.com"},
}
_NAMES = ("anka-medya", "boreal", "cobalt-social")
_PATHS = ("p/Cx81kQ", "reel/Dm2aa9", "p/Bz77Lo", "stories/4711", "p/Ar55Tt", "tv/Kq90Pp")


@dataclass(frozen=True)
class Scene:
    """A running gateway with its console, its panel and its database."""

    gateway: Gateway
    pool: Pool
    world: World
    panel: SandboxProcess
    customers: list[Customer]

    async def place(self, number: int, *, seed: int = 7, fault: str = "") -> list[int]:
        """Place so many orders, of all customers in turn."""
        chance = random.Random(seed)
        made: list[int] = []
        for place in range(number):
            customer = self.customers[place % len(self.customers)]
            link = f"https://instagram.com/{chance.choice(_PATHS)}{seed}{place}"
            if fault:
                link += f"?sandbox={fault}"
            quantity = chance.choice((500, 1000, 1500, 2000, 5000))
            async with PanelClient(self.gateway.api_url, customer.key) as client:
                answer = await client.call(
                    "add", service=chance.choice((1, 2, 3)), link=link, quantity=quantity
                )
            if "order" in answer:
                made.append(answer["order"])
        return made

    async def count(self, *states: str) -> int:
        """How many orders are in these states."""
        return int(
            await self.pool.fetchval("select count(*) from orders where state = any($1)", states)
        )

    async def pass_time(self, minutes: float) -> None:
        """Let what is in doubt have been so for longer."""
        for statement in SHIFTED:
            await self.pool.execute(statement, timedelta(minutes=minutes))

    async def spread_over(self, minutes: int) -> None:
        """Let the orders have come over so many minutes, in waves."""
        await self.pool.execute(
            """update orders set created_at = now() - $1 * interval '1 minute'
                  * power(((id * 7919) % 1000) / 1000.0, 0.8 + 0.5 * sin(id / 9.0))""",
            minutes,
        )


@asynccontextmanager
async def open_scene(
    world: World, pool: Pool, panel: SandboxProcess, open_gateway: OpenGateway, **settings: Any
) -> AsyncIterator[Scene]:
    """A scene with resellers, two providers, services and no orders yet."""
    await panel.control("conduct", {"order_list": False})
    await world.sandbox(panel)
    customers = [await world.reseller(name, funds="2500") for name in _NAMES]
    await world.provider(panel.url, panel.key, "northwind", low_balance="50")
    async with open_gateway(**(_SETTINGS | settings)) as gateway:
        yield Scene(gateway, pool, world, panel, customers)


async def fill(scene: Scene, number: int = 60) -> None:
    """Orders in every state that orders come to by themselves."""
    await scene.panel.control("speed", {"seconds": 1})
    await scene.place(number, seed=1)
    await scene.place(number // 12, seed=4, fault="partial:40")
    await scene.place(2, seed=5, fault="cancel")
    await scene.place(3, seed=2, fault="500-after")
    await eventually(lambda: _at_least(scene, 3, "unknown", "review"))
    await eventually(lambda: _in_review(scene, 3), every=0.5)
    await eventually(lambda: _at_least(scene, number // 2, "completed"), seconds=60)
    await scene.panel.control("speed", {"seconds": None})
    await scene.place(number // 4, seed=3)
    await eventually(lambda: _at_least(scene, number // 8, "placed", "in_progress"))


async def _in_review(scene: Scene, number: int) -> bool:
    await scene.pass_time(60)
    return await _at_least(scene, number, "review")


async def _at_least(scene: Scene, number: int, *states: str) -> bool:
    return await scene.count(*states) >= number
