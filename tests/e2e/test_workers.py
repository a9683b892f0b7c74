"""``serve --workers``: several processes on one socket, exchanged and killed under load."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.embedded import Addresses
from schemas.money import parse_amount
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.sandbox_process import SandboxProcess
from tests.world import Customer, World

CLIENTS = 8
ADDS = 'smm_requests_total{action="add",outcome="answered"}'


class Crowd:
    """Clients that place orders one after the other, each on a connection that it keeps, or on a
    new one for every order.
    """

    def __init__(self, url: str, customer: Customer, service: int) -> None:
        self._url = url
        self._form = {"key": customer.key, "action": "add", "service": str(service)}
        self._form["quantity"] = "100"
        self._leaving = False
        self.links: dict[str, int] = {}
        self.outcomes: Counter[str] = Counter()

    async def run(self, work: "asyncio.Future[None]") -> None:
        """Place orders as long as ``work`` goes on; every answer and failure is counted."""
        clients = [
            asyncio.create_task(self._place(f"{number}", keep=number % 2 == 0))
            for number in range(CLIENTS)
        ]
        try:
            await work
        finally:
            self._leaving = True
            await asyncio.gather(*clients)
        print(dict(self.outcomes))

    async def _place(self, name: str, *, keep: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=not keep)
        async with aiohttp.ClientSession(connector=connector) as session:
            number = 0
            while not self._leaving:
                number += 1
                link = f"https://a.example/{name}/{number}"
                try:
                    async with session.post(self._url, data=self._form | {"link": link}) as answer:
                        found = json.loads(await answer.read())
                        self.outcomes[str(answer.status)] += 1
                    self.links[link] = found["order"]
                except (aiohttp.ClientError, OSError) as error:
                    self.outcomes[type(error).__name__] += 1


@pytest.fixture
async def gateway(
    engines: Addresses, database_url: str, tmp_path: Path
) -> AsyncIterator[GatewayProcess]:
    """A supervised gateway of three workers, not started."""
    running = GatewayProcess(
        database_url,
        engines.redis_url,
        tmp_path / "gateway.log",
        workers=3,
        settings={"tracking": {"first_ms": 60_000}, "database": {"pool_size": 5}},
        start_seconds=60,
    )
    yield running
    await running.stop()


def _told(gateway: GatewayProcess, event: str) -> list[dict[str, Any]]:
    lines = [line for line in gateway.log_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, lines) if line["event"] == event]


def _pids(gateway: GatewayProcess) -> dict[int, int]:
    """The process that was ready last in each place."""
    return {line["worker"]: line["pid"] for line in _told(gateway, "worker.ready")}


def _fewest_running(gateway: GatewayProcess, *, after: int) -> int:
    """How many workers have been running at least, since the first ``after`` ones were ready."""
    lines = [line for line in gateway.log_text().splitlines() if line.startswith("{")]
    steps = {"worker.ready": 1, "gateway.stopped": -1}
    changes = [steps.get(json.loads(line)["event"], 0) for line in lines]
    running = [*accumulate(change for change in changes if change)]
    return min(running[after - 1 :])


async def _metrics(gateway: GatewayProcess) -> dict[str, float]:
    """All series that the supervisor shows, by their names with labels."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.internal_url}/metrics") as answer,
    ):
        text = await answer.text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def _all_sent(world: World) -> bool:
    left = await world.pool.fetchval(
        "select count(*) from orders where state in ('queued', 'sending')"
    )
    return bool(left == 0)


async def _assert_nothing_lost(world: World, crowd: Crowd, sandbox: SandboxProcess) -> None:
    """Every order that was answered runs upstream once, and no other."""
    rows = await world.pool.fetch("select id, link from orders")
    stored = {row["link"]: row["id"] for row in rows}
    assert len(stored) == len(rows)
    assert stored.items() >= crowd.links.items()
    await eventually(lambda: _all_sent(world), seconds=120)
    assert Counter(one["link"] for one in sandbox.accepted()) == Counter(stored.keys())
    await world.assert_sound()


async def _shop(
    world: World, sandbox: SandboxProcess, *, funds: str = "100000"
) -> tuple[Customer, int]:
    provider = await world.provider(sandbox.url, sandbox.key, in_flight=50)
    service = await world.service(provider, upstream_service="101")
    return await world.reseller(funds=funds), service


async def test_workers_are_exchanged_under_load_and_no_call_is_refused_or_cut(
    world: World, sandbox: SandboxProcess, gateway: GatewayProcess
) -> None:
    customer, service = await _shop(world, sandbox)
    await gateway.start()
    first = _pids(gateway)
    crowd = Crowd(gateway.url, customer, service)

    async def exchange_twice() -> None:
        for times in (1, 2):

            async def exchanged(times: int = times) -> bool:
                return len(_told(gateway, "restart.done")) == times

            gateway.send_signal(signal.SIGHUP)
            await eventually(exchanged, seconds=120, every=0.1)

    await crowd.run(asyncio.ensure_future(exchange_twice()))
    assert set(crowd.outcomes) == {"200"}, "a call was refused or cut"
    assert crowd.outcomes["200"] > CLIENTS
    assert not set(first.values()) & set(_pids(gateway).values())
    assert not any(_lives(pid) for pid in first.values())
    assert _fewest_running(gateway, after=3) == 3, "too few are running"
    assert _told(gateway, "worker.died") == []
    await eventually(lambda: _all_sent(world), seconds=120)
    await _assert_nothing_lost(world, crowd, sandbox)
    assert await gateway.stop() == 0
    assert not any(_lives(pid) for pid in _pids(gateway).values())


async def test_a_killed_worker_has_a_successor_and_no_order_is_lost(
    world: World, sandbox: SandboxProcess, gateway: GatewayProcess
) -> None:
    customer, service = await _shop(world, sandbox)
    gateway.settings["dispatch"] = {"timeout_ms": 1_000, "connect_timeout_ms": 500}
    await gateway.start()
    crowd = Crowd(gateway.url, customer, service)
    victim = _pids(gateway)[2]

    before: dict[str, float] = {}

    async def kill() -> None:
        await eventually(lambda: _orders(world, 50))
        shown = await _metrics(gateway)
        before.update(
            {name: shown[name] for name in shown if "_total" in name and "worker=" not in name}
        )
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: _succeeded(gateway, 2, victim), seconds=60)

    await crowd.run(asyncio.ensure_future(kill()))
    assert len(_told(gateway, "worker.died")) == 1
    async with aiohttp.ClientSession() as session:
        shown = await _metrics(gateway)
        assert shown["smm_worker_restarts_total"] == 1
        assert {shown[f'smm_worker_up{{worker="{number}"}}'] for number in (1, 2, 3)} == {1}
        assert not any(str(name).endswith('worker="2-new"}') for name in shown)
        # What the killed one had counted when it was last asked is not forgotten.
        assert all(shown[name] >= number for name, number in before.items()), before
        assert shown[ADDS] >= before[ADDS] > 0
        async with session.get(f"{gateway.internal_url}/workers") as answer:
            targets = await answer.json()
        assert [one["labels"]["worker"] for one in targets] == ["1", "2", "3"]
        for one in targets:
            async with session.get(f"http://{one['targets'][0]}/metrics") as answer:
                assert "smm_requests" in await answer.text()
    await eventually(lambda: _all_sent(world), seconds=120)
    stored = await world.pool.fetch("select id, link, state from orders")
    assert {row["link"]: row["id"] for row in stored}.items() >= crowd.links.items()
    accepted = Counter(one["link"] for one in sandbox.accepted())
    assert max(accepted.values()) == 1
    # What the killed one was just sending is in doubt, and nothing else.
    placed = {row["link"] for row in stored if row["state"] == "placed"}
    assert placed <= set(accepted)
    assert {row["state"] for row in stored} <= {"placed", "unknown"}
    await world.assert_sound()


async def _orders(world: World, number: int) -> bool:
    return bool(await world.pool.fetchval("select count(*) from orders") >= number)


async def _succeeded(gateway: GatewayProcess, place: int, before: int) -> bool:
    return _pids(gateway)[place] != before


async def test_a_killed_supervisor_leaves_no_worker_behind(
    world: World, sandbox: SandboxProcess, gateway: GatewayProcess
) -> None:
    await _shop(world, sandbox)
    await gateway.start()
    pids = _pids(gateway).values()
    assert all(map(_lives, pids))
    await gateway.kill()

    async def gone() -> bool:
        return not any(map(_lives, pids))

    await eventually(gone, seconds=60)


async def test_many_orders_on_one_balance_over_the_workers_of_one_socket(
    world: World, sandbox: SandboxProcess, gateway: GatewayProcess
) -> None:
    affordable, asked = 150, 400
    customer, service = await _shop(world, sandbox, funds=f"{affordable * 9 // 100}.50")
    assert parse_amount("0.09") * affordable == parse_amount("13.50")
    await gateway.start()
    form = {"key": customer.key, "action": "add", "service": str(service), "quantity": "100"}

    async def ask(session: aiohttp.ClientSession, number: int) -> str:
        link = f"https://a.example/{number}"
        async with session.post(gateway.url, data=form | {"link": link}) as answer:
            return "order" if "order" in await answer.json(content_type=None) else "refused"

    # A new connection for every call, so that each worker gets some.
    connector = aiohttp.TCPConnector(limit=40, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        answers = Counter(await asyncio.gather(*(ask(session, n) for n in range(asked))))
    assert answers == {"order": affordable, "refused": asked - affordable}
    assert await world.balance(customer) == 0
    served = 0
    shown = await _metrics(gateway)
    assert shown[ADDS] == affordable
    assert shown['smm_adds_refused_total{reason="funds"}'] == asked - affordable
    assert shown['smm_request_seconds_count{action="add"}'] == asked
    assert shown['smm_ledger_entries_total{cause="charge",currency="USD"}'] == affordable
    assert shown["smm_workers_ready"] == shown["smm_workers_wanted"] == 3
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{gateway.internal_url}/workers") as answer:
            targets = await answer.json()
        for one in targets:
            async with session.get(f"http://{one['targets'][0]}/metrics") as answer:
                served += 'smm_requests_total{action="add"' in await answer.text()
    assert served > 1
    await eventually(lambda: _all_sent(world), seconds=120)
    assert len(sandbox.accepted()) == affordable
    await world.assert_sound()


async def test_workers_that_cannot_start_are_a_clear_error(
    engines: Addresses, database_url: str, world: World, tmp_path: Path
) -> None:
    await world.pool.execute("delete from migration where name like '0008%'")
    gateway = GatewayProcess(database_url, engines.redis_url, tmp_path / "g.log", workers=2)
    with pytest.raises(RuntimeError, match="did not start"):
        await gateway.start()
    assert "the database lacks migration 0008" in gateway.log_text()
    assert "ended while it started" in gateway.log_text()
