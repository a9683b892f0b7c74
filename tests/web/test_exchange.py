"""Exchanges with a real Valkey: limits hold over all processes, whatever is done to the server."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.embedded import Addresses
from gateway.metrics import VALKEY_LOSSES, VALKEY_LOST
from gateway.valkey_client import close_client, open_client
from gateway.web.buckets import Limit
from gateway.web.exchange import EXCHANGE, Exchange
from gateway.web.leases import Leases
from tests.conftest import eventually
from tests.valkey_process import ValkeyProcess
from tests.web.bank import Bank, Clock

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyProcess]:
    async with ValkeyProcess(tmp_path / "valkey") as server:
        yield server


@asynccontextmanager
async def _process(url: str) -> AsyncIterator[Leases[str]]:
    """What one process has of the shared buckets."""
    exchange = Exchange(url)
    leases: Leases[str] = exchange.leases(lambda name: f"test:{{{name}}}")
    exchange.start()
    try:
        yield leases
    finally:
        await exchange.stop()


async def _answered(leases: Leases[str], limit: Limit, calls: int, *, name: str = "key") -> int:
    """How many of these calls pass, with a breath after each as in a server."""
    passed = 0
    for _ in range(calls):
        passed += not leases.take(name, limit).wait
        await asyncio.sleep(0)
    return passed


async def _pass(leases: Leases[str], limit: Limit, calls: int, *, name: str) -> None:
    """Call until so many calls have passed."""
    async with asyncio.timeout(20):
        while calls > 0:
            calls -= await _answered(leases, limit, 1, name=name)


async def test_the_script_does_what_the_model_does(engines: Addresses) -> None:
    """With an hour for a token, the server's clock does not matter."""
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    client = open_client(engines.redis_url, timeout_seconds=5)
    try:
        for _ in range(30):
            name, clock = secrets.token_hex(8), Clock()
            limit, bank = Limit(1, HOUR, chance.randint(1, 60)), Bank(clock)
            for _ in range(20):
                owed, back = chance.choice([0, 0, chance.randint(0, 9)]), chance.randint(0, 4)
                wanted = chance.randint(0, 30)
                told = await client.eval(
                    EXCHANGE, 1, name, limit.interval / 1000, limit.burst, owed, back, wanted
                )
                expected = bank.answer(name, limit, owed, back, wanted)
                assert told[0] == expected.granted, f"seed {seed}"
                assert abs(told[1] - expected.missing) < 60_000_000, f"seed {seed}"
            await client.delete(name)
    finally:
        await close_client(client)


async def test_three_processes_together_pass_the_limit_and_little_more(engines: Addresses) -> None:
    name, limit = secrets.token_hex(8), Limit(50, SECOND, 400)
    began = time.monotonic_ns()
    async with (
        _process(engines.redis_url) as one,
        _process(engines.redis_url) as two,
        _process(engines.redis_url) as three,
    ):
        passed = sum(
            await asyncio.gather(
                *(_answered(leases, limit, 3_000, name=name) for leases in (one, two, three))
            )
        )
        allowed = limit.burst + (time.monotonic_ns() - began) // limit.interval
    assert passed <= allowed + 3 * limit.credit
    assert passed >= limit.burst


async def test_what_a_process_holds_at_its_end_goes_back(valkey: ValkeyProcess) -> None:
    limit = Limit(1, HOUR, 100)
    async with _process(valkey.url) as leases:
        await _pass(leases, limit, 30, name="key")
    client = valkey.client
    missing = await client.eval(EXCHANGE, 1, "test:{key}", limit.interval / 1000, 100, 0, 0, 0)
    assert missing[1] <= 30 * HOUR // 1000


@pytest.mark.parametrize("command", ["RPUSH {} a", "HSET {} f v", "SET {} rubbish", "SET {} inf"])
async def test_a_key_with_something_else_in_it_is_replaced(
    valkey: ValkeyProcess, command: str
) -> None:
    wrong: list[str] = command.format("test:{key}").split()
    await valkey.client.execute_command(*wrong)  # type: ignore[no-untyped-call]
    limit = Limit(1, HOUR, 40)
    async with _process(valkey.url) as leases:
        await eventually(lambda: _exhausted(leases, limit))
        assert not leases.lost
        assert float(str(await valkey.client.get("test:{key}"))) > time.time() * 1e6


async def _exhausted(leases: Leases[str], limit: Limit) -> bool:
    return leases.take("key", limit).wait > limit.interval // 2


@pytest.mark.parametrize("fault", ["killed", "frozen", "full"])
async def test_a_loss_halves_the_limit_in_each_process_and_ends_by_itself(
    valkey: ValkeyProcess, fault: str
) -> None:
    losses = VALKEY_LOSSES.labels("limits")._value.get()
    limit = Limit(1, HOUR, 1000)
    async with _process(valkey.url) as leases:
        await _answered(leases, limit, 3)
        await _make(valkey, fault)
        # Beyond what it held, and its credit, the process hears that nobody answers.
        await eventually(lambda: _lost(leases, limit))
        assert VALKEY_LOST.labels("limits")._value.get() == 1
        assert await _answered(leases, limit, 1_000, name="other") == 500
        await _mend(valkey, fault)
        await eventually(lambda: _found(leases))
        await _pass(leases, limit, 900, name="third")
    assert VALKEY_LOSSES.labels("limits")._value.get() == losses + 1
    assert VALKEY_LOST.labels("limits")._value.get() == 0


async def _lost(leases: Leases[str], limit: Limit) -> bool:
    leases.take("key", limit)
    return leases.lost


async def _found(leases: Leases[str]) -> bool:
    return not leases.lost


async def _make(valkey: ValkeyProcess, fault: str) -> None:
    match fault:
        case "killed":
            await valkey.kill()
        case "frozen":
            valkey.freeze()
        case "full":
            await valkey.client.config_set("maxmemory", "1")


async def _mend(valkey: ValkeyProcess, fault: str) -> None:
    match fault:
        case "killed":
            await valkey.start()
        case "frozen":
            valkey.thaw()
        case "full":
            await valkey.client.config_set("maxmemory", "0")


async def test_a_server_that_forgets_everything_is_no_loss(valkey: ValkeyProcess) -> None:
    limit = Limit(1, HOUR, 100)
    async with _process(valkey.url) as leases:
        await eventually(lambda: _exhausted(leases, limit))
        await valkey.client.flushall()
        await valkey.client.script_flush()
        await _pass(leases, limit, 90, name="other")
        assert not leases.lost
