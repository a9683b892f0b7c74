"""``refill``, ``refill_status`` and ``cancel`` over HTTP: every refusal, and every shape."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import asyncpg
import pytest

from gateway.embedded import Addresses
from gateway.store.connection import open_pool
from tests.application_role import as_application
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.web.conftest import suspend
from tests.web.desk import JSON, Desk, Request, form
from tests.world import Customer, World

BAD_REQUEST, BAD_ORDER = "Incorrect request", "Incorrect order ID"
NO_REFILL = "Refill is disabled for this service"
NOT_DONE = "The order is not completed"
OVER = "Refill days are over"
OPEN = "The refill task is not completed for this order"
EARLY = "The order was completed or refill was requested less than 24 hours ago"
NOT_FOUND = "Refill not found"
NO_CANCEL = "Cancel is not available"
CANCELED_ALREADY = "Cancel already requested"
SUSPENDED = "Your account has been suspended."

_DATABASE = "web_aftercare"
#: Orders of the customer: how their upstream ends them, and how long ago.
_ENDS = {
    "DONE": ("Completed", "2 days"),
    "AGAIN": ("Completed", "2 days"),
    "RUSH": ("Completed", "2 days"),
    "WAITING": ("Completed", "2 days"),
    "FRESH": ("Completed", "23 hours"),
    "OLD": ("Completed", "31 days"),
    "PART": ("Partial", "2 days"),
    "GONE": ("Canceled", "2 days"),
    "BARE": ("Completed", "2 days"),
}


async def _database(engines: Addresses, template: str) -> str:
    conn = await asyncpg.connect(engines.database_url)
    try:
        await conn.execute(f"create database {_DATABASE} template {template}")
    finally:
        await conn.close()
    return engines.database_url.rsplit("/", 1)[0] + "/" + _DATABASE


@pytest.fixture(scope="module")
async def desk(
    engines: Addresses, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """A gateway whose resellers have orders at every stage, of services with and without flags."""
    folder = tmp_path_factory.mktemp("aftercare")
    url = await _database(engines, migrated_template)
    pool = await open_pool(url, size=5)
    world = World(pool)
    async with SandboxProcess(folder / "sandbox") as sandbox:
        provider = await world.provider(sandbox.url, sandbox.key)
        away = await world.provider(sandbox.url, "other", "away")
        await pool.execute(
            "update provider set held_until = now() + interval '1 day' where id = $1", away.id
        )
        services = {
            "FULL": await world.service(provider, upstream_service="101", refill=True, cancel=True),
            "PLAIN": await world.service(provider, upstream_service="102"),
            "AWAY": await world.service(away, upstream_service="101", cancel=True),
        }
        await pool.execute("update service set refill_days = 30 where id = $1", services["FULL"])
        customer, rival = await world.reseller("acme"), await world.reseller("rival")
        halted = await world.reseller("halted")
        names = {"KEY": customer.key, "RIVAL_KEY": rival.key, "SUSPENDED_KEY": halted.key}
        names |= {name: str(id_) for name, id_ in services.items()}
        gateway = GatewayProcess(
            as_application(url),
            engines.redis_url,
            folder / "gateway.log",
            settings={"log": {"level": "debug"}, "tracking": {"watch_ms": 0}},
        )
        alone = aiohttp.TCPConnector(force_close=True)
        async with gateway, aiohttp.ClientSession(connector=alone) as session:
            made = Desk(pool, world, gateway, sandbox, session, customer, names)
            await _place_orders(made, rival, halted)
            await suspend(pool, gateway.url, halted)
            yield made
    await pool.close()


async def _place_orders(desk: Desk, rival: Customer, halted: Customer) -> None:
    async def add(reseller: Customer, name: str, service: str, fault: str = "") -> None:
        link = f"https://a.example/{name}" + (f"?sandbox={fault}" if fault else "")
        async with PanelClient(desk.gateway.url, reseller.key) as client:
            made = await client.add(int(desk.names[service]), 100, link)
        desk.names[name] = str(made)

    for name in _ENDS:
        await add(desk.customer, name, "PLAIN" if name == "BARE" else "FULL")
    for name in ("RUNNING", "SINGLE"):
        await add(desk.customer, name, "FULL", "stall")
    await add(desk.customer, "NEVER", "PLAIN", "stall")
    await add(rival, "FOREIGN", "FULL", "stall")
    await add(halted, "HALTED", "FULL", "stall")
    await desk.settled()
    await add(desk.customer, "UNKNOWN", "FULL", "reset-after")
    await desk.settled()
    for name in ("QUEUED", "LATER", "CROWDED"):
        await add(desk.customer, name, "AWAY")
    for name, (word, ago) in _ENDS.items():
        await _end(desk, name, word, ago)


async def _end(desk: Desk, name: str, word: str, ago: str) -> None:
    """Let the upstream end an order, as if that had been a while ago."""
    number = int(desk.names[name])
    upstream = await desk.pool.fetchval("select upstream_id from orders where id = $1", number)
    await desk.sandbox.control(
        "order", {"order": int(upstream), "status": word, "remains": 25 if word == "Partial" else 0}
    )
    await eventually(lambda: _has_ended(desk, number))
    await desk.pool.execute(
        "update orders set ended_at = now() - $2::text::interval where id = $1", number, ago
    )


async def _has_ended(desk: Desk, number: int) -> bool:
    return bool(await desk.pool.fetchval("select ended_at from orders where id = $1", number))


def call(action: str, fields: str = "") -> Request:
    """A call of the customer; ``fields`` is part of a form body."""
    return Request(f"key=$KEY&action={action}" + (f"&{fields}" if fields else ""))


BAD_IDS = ["0", "-1", "abc", "1.5", "\uff11", "1" + "0" * 20, "1e0", "$DONE.0", "0$DONE"]
MANY = ",".join(map(str, range(1, 102)))

REFUSED = {
    "R01 refill of nothing": (call("refill"), BAD_REQUEST),
    "R01 refill of an empty order": (call("refill", "order="), BAD_ORDER),
    **{
        f"R01 refill of order={text}": (call("refill", form({"order": text})), BAD_ORDER)
        for text in BAD_IDS
    },
    "R01 refill of an object": (
        Request('{"key":"$KEY","action":"refill","order":{"a":$DONE}}', headers=JSON),
        BAD_ORDER,
    ),
    "R02 refill of another's order": (call("refill", "order=$FOREIGN"), BAD_ORDER),
    "R02 refill of nobody's order": (call("refill", "order=2147483647"), BAD_ORDER),
    "R03 refill of a service without": (call("refill", "order=$BARE"), NO_REFILL),
    "R04 refill of a running order": (call("refill", "order=$RUNNING"), NOT_DONE),
    "R04 refill of a canceled order": (call("refill", "order=$GONE"), NOT_DONE),
    "R05 refill after the guarantee": (call("refill", "order=$OLD"), OVER),
    "R08 refill soon after the end": (call("refill", "order=$FRESH"), EARLY),
    "R09 refill of 101": (call("refill", f"orders={MANY}"), BAD_REQUEST),
    "R10 refill_status of nothing": (call("refill_status"), BAD_REQUEST),
    "R10 refill_status of an empty refill": (call("refill_status", "refill="), NOT_FOUND),
    **{
        f"R10 refill_status of refill={text}": (
            call("refill_status", form({"refill": text})),
            NOT_FOUND,
        )
        for text in BAD_IDS
    },
    "R10 refill_status of nobody's": (call("refill_status", "refill=900000"), NOT_FOUND),
    "R11 refill_status of 101": (call("refill_status", f"refills={MANY}"), BAD_REQUEST),
    "K01 cancel of nothing": (call("cancel"), BAD_REQUEST),
    "K01 cancel of empty orders": (call("cancel", "orders="), BAD_REQUEST),
    "K01 cancel of commas": (call("cancel", "orders=,%20,;"), BAD_REQUEST),
    "K01 cancel of an empty order": (call("cancel", "order="), BAD_REQUEST),
    **{
        f"K02 cancel of order={text}": (call("cancel", form({"order": text})), BAD_ORDER)
        for text in BAD_IDS
    },
    "K03 cancel of another's order": (call("cancel", "order=$FOREIGN"), BAD_ORDER),
    "K04 cancel of 101": (call("cancel", f"orders={MANY}"), BAD_REQUEST),
    "K05 cancel of a service without": (call("cancel", "order=$NEVER"), NO_CANCEL),
    "K06 cancel of a completed order": (call("cancel", "order=$DONE"), NO_CANCEL),
    "K06 cancel of a canceled order": (call("cancel", "order=$GONE"), NO_CANCEL),
    "K12 cancel after a partial refund": (call("cancel", "order=$PART"), NO_CANCEL),
    "refill of a suspended reseller": (
        Request("key=$SUSPENDED_KEY&action=refill&order=$HALTED"),
        SUSPENDED,
    ),
    "cancel of a suspended reseller": (
        Request("key=$SUSPENDED_KEY&action=cancel&orders=$HALTED"),
        SUSPENDED,
    ),
    "refill without a key": (Request("action=refill&order=$DONE"), "Invalid API key"),
    "a refill without its action": (Request("key=$KEY&order=$DONE"), BAD_REQUEST),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_call_says_so_and_writes_nothing(desk: Desk, name: str) -> None:
    request, text = REFUSED[name]
    await desk.assert_refused(request, text)


def error(text: str) -> dict[str, str]:
    """An error inside a row."""
    return {"error": text}


PLURAL = {
    "K02 cancel of bad ids": ("cancel", "orders=abc,0,2147483648", ["abc", "0", "2147483648"]),
    "K03 cancel of a foreign id": ("cancel", "orders=$FOREIGN", ["$FOREIGN"]),
    "R09 refill of foreign and bad ids": ("refill", "orders=$FOREIGN,x", ["$FOREIGN", "x"]),
    "R10 refill_status of bad ids": ("refill_status", "refills=900000,x", ["900000", "x"]),
}


@pytest.mark.parametrize("name", PLURAL)
async def test_each_bad_id_of_many_gets_a_row_of_its_own(desk: Desk, name: str) -> None:
    action, fields, ids = PLURAL[name]
    before = await desk.facts()
    rows = (await desk.ask(call(action, fields))).json()
    id_name, value, text = {
        "cancel": ("order", "cancel", BAD_ORDER),
        "refill": ("order", "refill", BAD_ORDER),
        "refill_status": ("refill", "status", NOT_FOUND),
    }[action]
    tokens = [desk.fill(id_) for id_ in ids]
    assert [str(row[id_name]) for row in rows] == tokens
    assert [row[value] for row in rows] == [error(text)] * len(ids)
    assert [type(row[id_name]) for row in rows] == [
        int if t.isdigit() and 0 < int(t) < 2**31 else str for t in tokens
    ]
    assert await desk.facts() == before


async def test_r04_an_order_in_doubt_is_not_completed_and_can_be_told_to_stop(
    desk: Desk,
) -> None:
    state = await desk.pool.fetchval(
        "select state from orders where id = $1", int(desk.names["UNKNOWN"])
    )
    assert state == "unknown"
    await desk.assert_refused(call("refill", "order=$UNKNOWN"), NOT_DONE)
    before = await desk.facts()
    answer = await desk.ask(call("cancel", "orders=$UNKNOWN"))
    assert answer.body == desk.fill('[{"order":$UNKNOWN,"cancel":1}]').encode()
    await desk.assert_refused(call("cancel", "order=$UNKNOWN"), CANCELED_ALREADY)
    await asyncio.sleep(0.2)  # lanes have looked several times by now, and asked nobody
    after = await desk.facts()
    assert after == replace(before, cancellations=before.cancellations + 1)


async def _refill_is(desk: Desk, refill: str, state: str) -> bool:
    stored = await desk.pool.fetchval("select state from refill where id = $1", int(refill))
    return bool(stored == state)


async def _told(desk: Desk, refill: str, word: str) -> bool:
    answer: Any = (await desk.ask(call("refill_status", f"refill={refill}"))).json()
    return bool(answer["status"] == word)


async def test_many_refills_each_get_their_own_row(desk: Desk) -> None:
    answer = await desk.ask(call("refill", "orders=$AGAIN,$FOREIGN,$BARE,$AGAIN,x"))
    rows = answer.json()
    made = rows[0]["refill"]
    assert isinstance(made, int)
    await eventually(lambda: _refill_is(desk, str(made), "placed"))
    expected = (
        f'[{{"order":$AGAIN,"refill":{made}}},'
        f'{{"order":$FOREIGN,"refill":{{"error":"{BAD_ORDER}"}}}},'
        f'{{"order":$BARE,"refill":{{"error":"{NO_REFILL}"}}}},'
        f'{{"order":"x","refill":{{"error":"{BAD_ORDER}"}}}}]'
    )
    assert answer.body == desk.fill(expected).encode()


async def test_r07_parallel_refills_of_one_order_are_one_refill(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.ask(call("refill", "order=$RUSH")) for _ in range(50)))
    bodies = [answer.json() for answer in answers]
    assert {answer.status for answer in answers} == {200}
    assert sum("refill" in body for body in bodies) == 1
    assert [body for body in bodies if "error" in body] == [error(OPEN)] * 49
    [refill] = [body["refill"] for body in bodies if "refill" in body]
    await eventually(lambda: _refill_is(desk, refill, "placed"))
    await desk.world.assert_sound()


async def test_r12_an_upstream_that_does_not_answer_leaves_a_refill_pending(desk: Desk) -> None:
    command = {"action": "refill", "fault": "reset-after", "times": 1}
    await desk.sandbox.control("faults", command)
    before = await desk.asked("refill")
    refill = (await desk.ask(call("refill", "order=$WAITING"))).json()["refill"]
    await eventually(lambda: _refill_is(desk, refill, "unknown"))
    assert await _told(desk, refill, "Pending")
    await asyncio.sleep(0.2)  # lanes have looked several times by now, and sent nothing
    assert await desk.asked("refill") == before + 1


async def test_k08_a_running_order_ends_when_its_upstream_says_so(desk: Desk) -> None:
    before = await desk.facts()
    answer = await desk.ask(call("cancel", "orders=$RUNNING,$RUNNING,$NEVER,$DONE"))
    assert (
        answer.body
        == desk.fill(
            '[{"order":$RUNNING,"cancel":1},'
            f'{{"order":$NEVER,"cancel":{{"error":"{NO_CANCEL}"}}}},'
            f'{{"order":$DONE,"cancel":{{"error":"{NO_CANCEL}"}}}}]'
        ).encode()
    )
    await eventually(lambda: _status_is(desk, "RUNNING", "Canceled"))
    after = await desk.facts()
    assert (after.entries, after.cancellations) == (before.entries + 1, before.cancellations + 1)
    assert after.asked == before.asked + 1
    await desk.world.assert_sound()


async def _status_is(desk: Desk, name: str, word: str) -> bool:
    answer: Any = (await desk.ask(call("status", f"order=${name}"))).json()
    return bool(answer["status"] == word)


async def test_one_order_through_the_singular_is_answered_for_every_family_of_clients(
    desk: Desk,
) -> None:
    answer = await desk.ask(call("cancel", "order=$SINGLE"))
    assert (
        answer.body
        == desk.fill(
            '{"order":$SINGLE,"cancel":1,"id":$SINGLE,"status":"success",'
            '"success":"Cancel request accepted","ok":"true"}'
        ).encode()
    )
    await eventually(lambda: _status_is(desk, "SINGLE", "Canceled"))


@pytest.mark.parametrize(
    "request_",
    [
        call("cancel", "orders[]=$QUEUED"),
        Request('{"key":"$KEY","action":"CANCEL","orders":[$QUEUED]}', headers=JSON),
        Request(method="GET", query="key=$KEY&action=cancel&orders=%20$QUEUED,", headers={}),
        Request("key=$KEY&action=cancel&order=$QUEUED,$LATER"),
    ],
)
async def test_ids_are_read_in_every_spelling(desk: Desk, request_: Request) -> None:
    rows = (await desk.ask(request_)).json()
    assert str(rows[0]["order"]) == desk.names["QUEUED"]
    assert rows[0]["cancel"] in (1, error(NO_CANCEL))


async def test_k11_parallel_cancels_of_a_queued_order_refund_once(desk: Desk) -> None:
    before = await desk.facts()
    answers = await asyncio.gather(
        *(desk.ask(call("cancel", "orders=$CROWDED")) for _ in range(100))
    )
    done = [answer.json()[0]["cancel"] for answer in answers]
    assert sorted(map(json.dumps, done)) == ["1", *[json.dumps(error(NO_CANCEL))] * 99]
    after = await desk.facts()
    assert (after.entries, after.money - before.money) == (before.entries + 1, 90_000)
    assert await _status_is(desk, "CROWDED", "Canceled")
    await desk.world.assert_sound()


async def test_a_refill_is_answered_in_the_reference_s_shapes_and_can_be_followed(
    desk: Desk,
) -> None:
    answer = await desk.ask(call("refill", "order=$DONE"))
    refill = answer.json()["refill"]
    assert answer.body == b'{"refill":"%s"}' % refill.encode()
    assert 0 < int(refill) < 2**31
    await eventually(lambda: _refill_is(desk, refill, "placed"))
    await desk.assert_refused(call("refill", "order=$DONE"), OPEN)
    for spelling in ("refill", "order"):
        single = await desk.ask(call("refill_status", f"{spelling}={refill}"))
        assert single.body == b'{"status":"Pending"}'
        many = await desk.ask(call("refill_status", f"{spelling}s={refill},900000"))
        assert many.body == (
            b'[{"refill":%s,"status":"Pending"},'
            b'{"refill":900000,"status":{"error":"Refill not found"}}]' % refill.encode()
        )
    foreign = Request(f"key=$RIVAL_KEY&action=refill_status&refill={refill}")
    await desk.assert_refused(foreign, NOT_FOUND)
    upstream = await desk.asked("refill")
    await desk.sandbox.control("advance", {"work": 1})
    await eventually(lambda: _told(desk, refill, "Completed"))
    assert await desk.asked("refill") == upstream
    await desk.assert_refused(call("refill", "order=$DONE"), EARLY)
    await desk.world.assert_sound()
