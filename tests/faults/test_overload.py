"""Overload: a flood is turned away early and whole; others' orders are taken as ever."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import Pool
from tests.conftest import OpenGateway, eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.world import Customer, World

_NOBODY = "http://127.0.0.1:9/api/v2"
#: ``FLOOD=1000`` makes a larger one.
_FLOOD = int(os.environ.get("FLOOD", "80"))
_ORDERS_OF_OTHERS = 4
#: Groups so small, and waits so short, that dozens of orders at once are too many.
_TIGHT = {"intake": {"group_size": 20, "longest_wait_ms": 50}}


_GATED = 1_000
#: ESTABLISHED and CLOSE_WAIT, as the kernel lists them.
_NOT_CLOSED = ("01", "08")
#: An order of this number stays in its transaction until there is a row in ``gate``.
_WAIT_AT_THE_GATE = f"""
    create table gate (opened int);
    create function wait_at_gate() returns trigger language plpgsql as $$
    begin
        while not exists (select from gate) loop perform pg_sleep(0.02); end loop;
        return null;
    end $$;
    create trigger gated after insert on orders for each row
        when (new.link like '%-{_GATED}') execute function wait_at_gate()
"""


async def test_a_flood_is_shed_and_the_orders_of_others_are_all_taken(
    engines: Addresses, database_url: str, pool: Pool, world: World, tmp_path: Path
) -> None:
    service = await world.service(await world.provider(_NOBODY))
    flooder = await world.reseller("flooder", funds="1000000")
    others = [await world.reseller(f"other {n}") for n in range(3)]
    log = tmp_path / "gateway.log"
    async with GatewayProcess(database_url, engines.redis_url, log, settings=_TIGHT) as gateway:
        async with _flooded(gateway.url, flooder, service) as answers:
            await eventually(partial(_seen, answers, 503))
            told = await asyncio.gather(
                *(_order_now_and_then(gateway.url, other, service) for other in others)
            )
            # Goodput: the flood itself is served as well, as far as there is room.
            await eventually(partial(_seen, answers, 200))
        assert all(status == 200 for statuses in told for status in statuses), told
        rows = await pool.fetch("select reseller_id from orders")
        placed = Counter(row["reseller_id"] for row in rows)
    # Whoever was turned away has no order, and whoever was answered has one.
    assert placed[flooder.id] == answers[200]
    assert [placed[other.id] for other in others] == [_ORDERS_OF_OTHERS] * 3
    assert set(answers) <= {200, 429, 503}
    await world.assert_sound()


async def test_orders_whose_clients_have_left_before_their_turn_are_never_begun(
    engines: Addresses, database_url: str, pool: Pool, world: World, tmp_path: Path
) -> None:
    service = await world.service(await world.provider(_NOBODY))
    leaver, stayer = await world.reseller("leaver"), await world.reseller("stayer")
    await pool.execute(_WAIT_AT_THE_GATE)
    log = tmp_path / "gateway.log"
    async with GatewayProcess(database_url, engines.redis_url, log) as gateway:
        assert await _add(gateway.url, leaver, service, 1) == 200
        # The group at work waits in the database; the next one gathers behind it.
        first = asyncio.create_task(_add(gateway.url, stayer, service, _GATED))
        await eventually(lambda: _at_the_gate(pool))
        left = [await _send_add(gateway.url, leaver, service, 2 + n) for n in range(20)]
        # What the gateway has read it will put into the next group, whoever leaves.
        await eventually(lambda: _connections(gateway.port, 21, read=True))
        for connection in left:
            connection.close()
        await eventually(lambda: _connections(gateway.port, 1))
        await pool.execute("insert into gate values (1)")
        assert await first == 200
        assert await _add(gateway.url, leaver, service, 99) == 200
    links = await pool.fetch("select link from orders where reseller_id = $1", leaver.id)
    assert {row["link"] for row in links} == {_link(leaver, 1), _link(leaver, 99)}
    await world.assert_sound()


async def test_without_a_free_connection_calls_are_told_to_come_again(
    open_gateway: OpenGateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service(await world.provider(_NOBODY))
    customer = await world.reseller()
    async with (
        open_gateway(database={"pool_size": 3}) as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        assert (await client.raw("balance"))[0] == 200
        held = [await gateway._pool.acquire(timeout=20) for _ in range(3)]
        try:
            monkeypatch.setattr("gateway.store.connection.ACQUIRE_SECONDS", 0.1)
            for action in ("balance", "status", "add"):
                await _assert_told_to_come_again(client, action, service)
        finally:
            monkeypatch.undo()
            for conn in held:
                await gateway._pool.release(conn)
        order = await client.add(service)
        assert "status" in await client.call("status", order=order)
    await world.assert_sound()


async def test_a_database_with_too_many_connections_is_waited_for(
    engines: Addresses, open_gateway: OpenGateway, pool: Pool, world: World
) -> None:
    service = await world.service(await world.provider(_NOBODY))
    customer = await world.reseller()
    name = await pool.fetchval("select current_database()")
    async with (
        open_gateway() as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
        _operator(engines) as operator,
    ):
        assert (await client.raw("balance"))[0] == 200
        await operator.execute(f"alter database {name} connection limit 0")
        await operator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
        )
        for action in ("balance", "status", "add"):
            await _assert_told_to_come_again(client, action, service)
        await operator.execute(f"alter database {name} connection limit -1")
        await eventually(lambda: _answers(client))
        await client.add(service)
        assert await operator.fetchval("select 1") == 1


async def _answers(client: PanelClient) -> bool:
    return (await client.raw("balance"))[0] == 200


@asynccontextmanager
async def _operator(
    engines: Addresses,
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    conn = await asyncpg.connect(engines.database_url)
    try:
        yield conn
    finally:
        await conn.close()


async def _assert_told_to_come_again(client: PanelClient, action: str, service: int) -> None:
    form = {"key": client.key, "action": action, "order": 1, "service": service}
    form |= {"link": "https://a.example/1", "quantity": 100}
    async with aiohttp.ClientSession() as session, session.post(client.url, data=form) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "Temporary error" in json.loads(await answer.read())["error"]


@asynccontextmanager
async def _flooded(url: str, customer: Customer, service: int) -> AsyncIterator[Counter[int]]:
    """Hundreds of clients of one reseller that order without a pause; what they were answered."""
    answers: Counter[int] = Counter()
    stopped = asyncio.Event()

    async def client(number: int) -> None:
        form = {"key": customer.key, "action": "add", "service": service, "quantity": 100}
        async with aiohttp.ClientSession() as session:
            turn = 0
            while not stopped.is_set():
                turn += 1
                link = f"https://flood.example/{number}-{turn}"
                async with session.post(url, data=form | {"link": link}) as answer:
                    assert (answer.status == 200) != ("Retry-After" in answer.headers)
                    answers[answer.status] += 1

    clients = [asyncio.create_task(client(number)) for number in range(_FLOOD)]
    try:
        yield answers
    finally:
        stopped.set()
        await asyncio.gather(*clients)


async def _order_now_and_then(url: str, customer: Customer, service: int) -> list[int]:
    return [await _add(url, customer, service, number) for number in range(_ORDERS_OF_OTHERS)]


async def _add(url: str, customer: Customer, service: int, number: int) -> int:
    async with PanelClient(url, customer.key) as client:
        link = _link(customer, number)
        return (await client.raw("add", service=service, quantity=100, link=link))[0]


async def _send_add(
    url: str, customer: Customer, service: int, number: int
) -> asyncio.StreamWriter:
    """Send an order, and return when it has left here; nobody waits for the answer."""
    to = urlsplit(url)
    _, writer = await asyncio.open_connection(to.hostname, to.port)
    form = {"key": customer.key, "action": "add", "service": service, "quantity": 100}
    body = urlencode(form | {"link": _link(customer, number)})
    head = f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Length: {len(body)}\r\n"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    writer.write(f"{head}{kind}\r\n{body}".encode())
    return writer


def _link(customer: Customer, number: int) -> str:
    return f"https://a.example/{customer.id}-{number}"


async def _seen(answers: Counter[int], status: int) -> bool:
    return answers[status] > 0


async def _at_the_gate(pool: Pool) -> bool:
    sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    return bool(await pool.fetchval(sleeping))


async def _connections(port: int, number: int, *, read: bool = False) -> bool:
    """Whether the server on this port has so many connections that it has not closed; with
    ``read`` only those of which it has read all that was sent.
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = f":{port:04X}"
    own = [row for row in rows if row[1].endswith(local) and row[3] in _NOT_CLOSED]
    return sum(not read or row[4].endswith(":00000000") for row in own) == number
