"""``redis.url`` names one server, Sentinels or a Cluster, and limits and wake-ups work on each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded.ports import free_port
from gateway.errors import UserError
from gateway.valkey_client import close_client, end_tasks, open_client
from gateway.wakeups import Wakeups
from gateway.web.buckets import Limit
from gateway.web.exchange import Exchange
from gateway.web.leases import Leases
from tests.conftest import eventually
from tests.valkey_process import ValkeyProcess

_HOUR = 3600 * 1_000_000_000
_LIMIT = Limit(1, _HOUR, 1_000)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://user:pass@valkey.example:6380/1",
        "unix:///run/valkey.sock",
        "redis+sentinel://a.example:26379,b.example/primary",
        "redis+sentinel://:p%40ss@a.example:26379,[::1]:26380/primary/3",
        "rediss+sentinel://a.example/primary",
        "redis+cluster://user:pass@a.example:7000,b.example:7001",
        "rediss+cluster://a.example",
    ],
)
async def test_urls_that_can_be_read(url: str) -> None:
    await close_client(open_client(url, timeout_seconds=1))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "valkey.example:6379",
        "http://valkey.example",
        "redis://valkey.example:secret/0",
        "redis+other://a.example",
        "redis+sentinel://a.example:26379",
        "redis+sentinel://a.example:26379/primary/three",
        "redis+sentinel://a.example:99999/primary",
        "redis+sentinel://,/primary",
        "redis+cluster://a.example:7000/1",
        "redis+cluster://:secret@",
    ],
)
async def test_urls_that_cannot_be_read_say_what_to_write_and_no_secret(url: str) -> None:
    with pytest.raises(UserError, match="redis\\.url cannot be read: write redis://") as refused:
        open_client(url, timeout_seconds=1)
    assert "secret" not in str(refused.value)


async def test_a_task_that_swallows_a_cancellation_ends_nevertheless() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert task.cancelled()
    assert swallowed == 1


async def test_behind_sentinels_everything_goes_on_with_the_new_primary(tmp_path: Path) -> None:
    async with (
        ValkeyProcess(tmp_path / "primary") as primary,
        ValkeyProcess(tmp_path / "replica", *_replica_of(primary)) as replica,
        _sentinel(tmp_path, primary) as sentinel,
    ):
        await eventually(lambda: _knows_a_replica(sentinel))
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/primary/0"
        async with _limits(url) as leases, _two_processes(url) as (send, heard):
            await _pass_more(leases, "before")
            await _hears(send, heard, 1)
            await primary.kill()
            await eventually(lambda: _is_primary(replica), seconds=60)
            await eventually(lambda: _reaches(leases, "after", replica), seconds=60)
            await _hears(send, heard, 2)


async def test_a_cluster_shares_the_buckets_out_and_passes_hints_on(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        buses = [free_port() for _ in range(3)]
        nodes = [await stack.enter_async_context(_node(tmp_path / str(bus), bus)) for bus in buses]
        await _join(nodes, buses[0])
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:2])
        async with _limits(url) as leases, _two_processes(url) as (send, heard):
            for name in range(30):
                await _pass_more(leases, str(name))
            for node in nodes:
                await eventually(node.client.dbsize)
            await _hears(send, heard, 7)
            await nodes[0].kill()
            # Without one of them the buckets are lost, and calls are answered nevertheless.
            await eventually(lambda: _lost(leases))
            await _pass_more(leases, "new")
            await nodes[0].start()
            await eventually(lambda: _leased(leases, "last"), seconds=60)


def _replica_of(primary: ValkeyProcess) -> tuple[str, ...]:
    return ("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")


def _sentinel(folder: Path, primary: ValkeyProcess) -> ValkeyProcess:
    return ValkeyProcess(
        folder / "sentinel",
        f"sentinel monitor primary 127.0.0.1 {primary.port} 1",
        "sentinel down-after-milliseconds primary 500",
        "sentinel failover-timeout primary 2000",
        sentinel=True,
    )


async def _knows_a_replica(sentinel: ValkeyProcess) -> bool:
    found: Any = await sentinel.client.sentinel_master("primary")
    return bool(int(found["num-slaves"]) == 1)


async def _is_primary(server: ValkeyProcess) -> bool:
    return bool((await server.client.info("replication"))["role"] == "master")


def _node(folder: Path, bus: int) -> ValkeyProcess:
    return ValkeyProcess(folder, "--cluster-enabled", "yes", "--cluster-port", str(bus))


async def _join(nodes: list[ValkeyProcess], bus: int) -> None:
    """Make a Cluster: every node meets the first and owns a third of the slots."""
    share = -(-16384 // len(nodes))
    for number, node in enumerate(nodes):
        slots = range(number * share, min((number + 1) * share, 16384))
        await node.client.cluster("ADDSLOTSRANGE", slots[0], slots[-1])
        await node.client.cluster("MEET", "127.0.0.1", nodes[0].port, bus)
    for node in nodes:
        await eventually(partial(_is_whole, node, len(nodes)))


async def _is_whole(node: ValkeyProcess, size: int) -> bool:
    info = await node.client.cluster("INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == size


@asynccontextmanager
async def _limits(url: str) -> AsyncIterator[Leases[str]]:
    exchange = Exchange(url)
    leases: Leases[str] = exchange.leases(lambda name: f"test:{{{name}}}")
    exchange.start()
    try:
        yield leases
    finally:
        await exchange.stop()


async def _pass_more(leases: Leases[str], name: str) -> None:
    """Call until more has passed than one process may answer without having heard."""
    passed = 0
    async with asyncio.timeout(20):
        while passed <= _LIMIT.credit:
            passed += not leases.take(name, _LIMIT).wait
            await asyncio.sleep(0)


async def _leased(leases: Leases[str], name: str) -> bool:
    leases.take(name, _LIMIT)
    return not leases.lost and leases.look(name, _LIMIT).missing > 0


async def _reaches(leases: Leases[str], name: str, server: ValkeyProcess) -> bool:
    leases.take(name, _LIMIT)
    return bool(await server.client.exists(f"test:{{{name}}}"))


async def _lost(leases: Leases[str]) -> bool:
    for name in range(30):
        leases.take(str(name), _LIMIT)
    return leases.lost


async def test_hints_reach_the_processes_of_their_own_database_alone(tmp_path: Path) -> None:
    async with ValkeyProcess(tmp_path / "valkey") as server:
        other: set[int] = set()
        stranger = Wakeups(server.url, "another", Hearer(other))
        stranger.start()
        try:
            async with _two_processes(server.url) as (sender, heard):
                await _hears(stranger, other, 9)
                await _hears(sender, heard, 7)
        finally:
            await stranger.stop()
        assert (heard, other) == ({7}, {9})


class Hearer:
    """Does the work that hints speak of: notes them."""

    def __init__(self, heard: set[int]) -> None:
        self.wake = heard.update
        self.wake_aftercare = heard.update


@asynccontextmanager
async def _two_processes(url: str) -> AsyncIterator[tuple[Wakeups, set[int]]]:
    """One that sends hints, and what the other heard."""
    heard: set[int] = set()
    sender, hearer = Wakeups(url, "db", None), Wakeups(url, "db", Hearer(heard))
    sender.start()
    hearer.start()
    try:
        yield sender, heard
    finally:
        await sender.stop()
        await hearer.stop()


async def _hears(sender: Wakeups, heard: set[int], number: int) -> None:
    async def arrived() -> bool:
        sender.send([number])
        return number in heard

    await eventually(arrived, seconds=60, every=0.1)
