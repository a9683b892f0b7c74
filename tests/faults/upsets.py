"""The faults that a run meets, each as one deed that is over, or will heal, when it returns.

An upset leaves all parts running. What it draws comes from ``chance``, so that a seed gives the
same upsets in the same order again; what they meet depends on the moment.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from tests.faults.arena import Arena
from tests.faults.engines import FAST, IMMEDIATE, KILLED
from tests.faults.floods import flood
from tests.faults.proxy import ChaosProxy, Toward

Deed: TypeAlias = Callable[[Arena, random.Random], Awaitable[None]]

#: Longer than a lease: what was claimed before must not be sent after it.
_LONGER_THAN_A_LEASE = (8.5, 10.0)


@dataclass(frozen=True, slots=True)
class Upset:
    """One kind of fault. ``group`` is what ``--only`` names, ``weight`` how often it is drawn."""

    name: str
    group: str
    weight: int
    deed: Deed


def _kill_one(*roles: str) -> Deed:
    async def deed(arena: Arena, chance: random.Random) -> None:
        gateway = arena.drawn_gateway(chance, *roles)
        await gateway.kill()
        await asyncio.sleep(chance.uniform(0, 0.5))
        await gateway.start()

    return deed


async def _kill_all(arena: Arena, chance: random.Random) -> None:
    for gateway in arena.gateways:
        await gateway.kill()
    for gateway in arena.gateways:
        await gateway.start()


async def _freeze_gateway(arena: Arena, chance: random.Random) -> None:
    gateway = arena.drawn_gateway(chance)
    gateway.send_signal(signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(*_LONGER_THAN_A_LEASE))
    gateway.send_signal(signal.SIGCONT)


async def _restart_gateway(arena: Arena, chance: random.Random) -> None:
    gateway = arena.drawn_gateway(chance)
    await gateway.stop()
    await gateway.start()


def _restart_database(number: signal.Signals) -> Deed:
    async def deed(arena: Arena, chance: random.Random) -> None:
        await arena.engines.database.end(number)
        await asyncio.sleep(chance.uniform(0, 1))
        await arena.engines.database.start()

    return deed


async def _kill_backend(arena: Arena, chance: random.Random) -> None:
    pids = await _backends(arena)
    if pids:
        await arena.engines.kill_backend(chance.choice(pids))


async def _terminate_backends(arena: Arena, chance: random.Random) -> None:
    """End sessions of the gateways wherever they are, a few times in a row."""
    for _ in range(5):
        pids = await _backends(arena)
        async with arena.engines.superuser() as conn:
            for pid in chance.sample(pids, min(2, len(pids))):
                await conn.execute("select pg_terminate_backend($1)", pid)
        await asyncio.sleep(chance.uniform(0.01, 0.2))


async def _terminate_commits(arena: Arena, chance: random.Random) -> None:
    """End sessions just when their COMMIT goes by, before it arrives or before it is answered."""
    proxy = arena.engines.database.proxy
    for _ in range(3):
        toward, pattern = chance.choice(
            [(Toward.SERVER, b"commit\0"), (Toward.CLIENT, b"COMMIT\0")]
        )
        passes = chance.random() < 0.5
        trap = proxy.trap(pattern, lambda link: link.reset(), toward=toward, passes=passes)
        try:
            await trap.wait(3)
        except TimeoutError:
            pass
        finally:
            trap.disarm()
            proxy.traps.remove(trap)


async def _backends(arena: Arena) -> list[int]:
    async with arena.engines.superuser() as conn:
        rows = await conn.fetch(
            """select pid from pg_stat_activity
                where datname = $1 and application_name = 'smm-gateway'""",
            arena.database,
        )
    return [row["pid"] for row in rows]


def _network(which: Callable[[Arena], ChaosProxy], how: str) -> Deed:
    async def deed(arena: Arena, chance: random.Random) -> None:
        proxy = which(arena)
        seconds = chance.uniform(0.5, 3)
        match how:
            case "reset":
                proxy.reset()
                return
            case "blackhole":
                proxy.swallow()
            case "stall":
                proxy.hold()
            case "latency":
                proxy.latency = dict.fromkeys(proxy.latency, 0.1)
            case "slice":
                proxy.slice_bytes = chance.choice([1, 7, 100])
            case "refuse":
                proxy.refuse()
                proxy.reset()
        await asyncio.sleep(seconds)
        proxy.latency = dict.fromkeys(proxy.latency, 0.0)
        proxy.slice_bytes = None
        proxy.heal()

    return deed


def _database(arena: Arena) -> ChaosProxy:
    return arena.engines.database.proxy


def _cache(arena: Arena) -> ChaosProxy:
    return arena.engines.cache.proxy


def _panel(arena: Arena) -> ChaosProxy:
    return arena.panel_proxy


async def _kill_cache(arena: Arena, chance: random.Random) -> None:
    await arena.engines.cache.end(KILLED)
    await asyncio.sleep(chance.uniform(0, 2))
    await arena.engines.cache.start()


async def _freeze_cache(arena: Arena, chance: random.Random) -> None:
    arena.engines.cache.send_signal(signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(1, 3))
    arena.engines.cache.send_signal(signal.SIGCONT)


async def _flush_cache(arena: Arena, _: random.Random) -> None:
    await arena.engines.flush_cache()


async def _kill_panel(arena: Arena, chance: random.Random) -> None:
    await arena.panel.kill()
    await asyncio.sleep(chance.uniform(0, 1))
    await arena.restart_panel()


#: Answers that prove nothing, with and without an order behind them.
_DOUBTS = [
    *("reset-before", "reset-after", "close-before", "close-after", "hang-after", "502-before"),
    *("502-after", "html-after", "truncated-after", "cut-after", "empty-after", "noise-after"),
    *("id:half", "id:null", "redirect-after", "too-many:1"),
]


async def _faulty_panel(arena: Arena, chance: random.Random) -> None:
    """The panel answers one call in seven in a way that proves nothing."""
    command = {"action": "add", "fault": _DOUBTS, "share": 0.15, "seed": chance.randrange(10**6)}
    await arena.panel.control("faults", command)
    for action in ("status", "refill", "cancel"):
        reads = {"fault": ["reset-after", "502-after", "html-after"], "share": 0.15}
        await arena.panel.control("faults", {"action": action} | reads)
    await asyncio.sleep(chance.uniform(1, 3))
    await arena.panel.control("faults", method="DELETE")


async def _crowd(arena: Arena, chance: random.Random) -> None:
    """Somebody else takes every connection that the database has left."""
    async with AsyncExitStack() as stack:
        for _ in range(200):
            try:
                conn = await asyncpg.connect(arena.engines.direct_url_of(arena.database))
            except (asyncpg.PostgresError, OSError):
                break
            stack.callback(conn.terminate)
        # Those that come back find no place.
        arena.engines.database.proxy.reset()
        await asyncio.sleep(chance.uniform(1, 3))


async def _migrate(arena: Arena, chance: random.Random) -> None:
    """A migration holds the locks that ALTER TABLE takes, longer than anybody waits for one."""
    table = chance.choice(["orders", "balance", "entry", "attempt"])
    async with arena.engines.superuser(arena.database) as conn, conn.transaction():
        try:
            await conn.execute("set local lock_timeout = '5s'")
            await conn.execute(f"lock table {table} in access exclusive mode")
        except asyncpg.LockNotAvailableError:
            return
        await asyncio.sleep(chance.uniform(1, 4))


UPSETS = (
    Upset("kill -9 of an API process", "kill", 8, _kill_one("all", "web")),
    Upset("kill -9 of a sender", "kill", 6, _kill_one("all", "worker")),
    Upset("kill -9 of all gateways", "kill", 2, _kill_all),
    Upset("SIGSTOP of a gateway", "stop", 2, _freeze_gateway),
    Upset("restart of a gateway", "deploy", 2, _restart_gateway),
    Upset("a migration's lock", "deploy", 2, _migrate),
    Upset("database restart, fast", "db", 2, _restart_database(FAST)),
    Upset("database restart, immediate", "db", 2, _restart_database(IMMEDIATE)),
    Upset("kill -9 of the postmaster", "db", 2, _restart_database(KILLED)),
    Upset("kill -9 of a backend", "db", 2, _kill_backend),
    Upset("sessions terminated", "db", 4, _terminate_backends),
    Upset("COMMIT cut off", "db", 6, _terminate_commits),
    Upset("too many connections", "db", 1, _crowd),
    *(
        Upset(f"database network: {how}", "net", 2, _network(_database, how))
        for how in ("reset", "blackhole", "stall", "latency", "slice", "refuse")
    ),
    *(
        Upset(f"panel network: {how}", "panel", 1, _network(_panel, how))
        for how in ("reset", "blackhole", "stall", "latency", "slice", "refuse")
    ),
    Upset("kill -9 of the panel", "panel", 2, _kill_panel),
    Upset("answers that prove nothing", "panel", 3, _faulty_panel),
    Upset("kill -9 of Valkey", "redis", 1, _kill_cache),
    Upset("SIGSTOP of Valkey", "redis", 1, _freeze_cache),
    Upset("FLUSHALL", "redis", 1, _flush_cache),
    Upset("flood of one reseller", "flood", 2, flood),
    *(
        Upset(f"Valkey network: {how}", "redis", 1, _network(_cache, how))
        for how in ("reset", "blackhole")
    ),
)
GROUPS = tuple(dict.fromkeys(upset.group for upset in UPSETS))


def drawn(chance: random.Random, groups: Sequence[str]) -> Upset:
    """One upset of these groups, of all where none is named."""
    among = [upset for upset in UPSETS if not groups or upset.group in groups]
    return chance.choices(among, [upset.weight for upset in among])[0]
