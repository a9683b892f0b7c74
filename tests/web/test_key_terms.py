"""What a key may do, from where, until when and how often; and what each account allows."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from gateway.peppers import mac_of
from gateway.resellers import accounts
from gateway.store.connection import Pool
from schemas.money import UNIT
from schemas.resellers import KeyTerms, Reseller, Scope
from tests.conftest import OpenGateway
from tests.panel_client import PanelClient
from tests.web.desk import FORM, Answer, Desk, Request, ask, form
from tests.world import BY_TEST, PEPPER, PEPPERS, Customer, World

BAD_KEY, BAD_REQUEST = "Invalid API key", "Incorrect request"
SUSPENDED, NO_FUNDS = "Your account has been suspended.", "Not enough funds on balance"
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
SOON = datetime.now(UTC) + timedelta(days=2)


def call(key: str, action: str = "balance", **fields: str) -> Request:
    """A call as a form."""
    return Request(form({"key": f"${key}", "action": action} | fields))


def add(key: str) -> Request:
    """A sound order."""
    return call(key, "add", service="$DEFAULT", link="https://a.example/1", quantity="50")


async def change(pool: Pool, customer: Customer, credit: int | None = None, **changes: Any) -> None:
    """Change an account as an operator does."""

    def changed(reseller: Reseller) -> Reseller:
        return replace(reseller, **changes)

    async with pool.acquire() as conn:
        await accounts.change_reseller(conn, customer.name, changed, BY_TEST, credit_limit=credit)


async def key_of(pool: Pool, customer: Customer, terms: KeyTerms) -> str:
    """One more key of a reseller."""
    async with pool.acquire() as conn:
        return (await accounts.issue_key(conn, customer.name, PEPPERS, BY_TEST, terms))[1]


@pytest.fixture(scope="module", autouse=True)
async def terms(desk: Desk) -> AsyncIterator[None]:
    """Keys and accounts of every kind, none of them used yet; requests name them."""
    before = dict(desk.names)

    async def key(name: str, terms: KeyTerms) -> None:
        desk.names[name] = await key_of(desk.pool, desk.customer, terms)

    async def account(name: str, funds: str = "10", **changes: Any) -> Customer:
        made = await desk.world.reseller(name.lower(), funds=funds)
        await change(desk.pool, made, **changes)
        desk.names[name] = made.key
        return made

    await key("READING", KeyTerms(scope=Scope.READ))
    await key("LASTING", KeyTerms(expires_at=SOON))
    await key("ELSEWHERE", KeyTerms(networks=(ip_network("203.0.113.0/24"),)))
    home = ip_network("127.0.0.0/8")
    await key("HERE", KeyTerms(networks=(ip_network("2001:db8::/32"), home)))
    for name, column in (("EXPIRED", "expires_at"), ("REVOKED", "revoked_at")):
        await key(name, KeyTerms())
        await desk.pool.execute(
            f"update api_key set {column} = now() where id = (select max(id) from api_key)"
        )
    await account("POSTING", post_only=True)
    await account("STOPPED", suspended=True, suspended_reason="unpaid")
    await account("MUTED", suspended=True)
    async with desk.pool.acquire() as conn:
        [muted] = await accounts.reseller_keys(conn, "muted")
        await accounts.change_key(
            conn, muted.id, lambda terms: replace(terms, scope=Scope.READ), BY_TEST
        )
    debtor = await account("DEBTOR", funds="0", credit=UNIT // 10)
    async with PanelClient(desk.gateway.url, debtor.key) as client:
        await client.add(int(desk.names["DEFAULT"]), 100)
    await desk.settled()
    yield
    desk.names.clear()
    desk.names.update(before)


def get(query: str) -> Request:
    """A call by GET."""
    return Request(method="GET", query=query, headers={})


REFUSED = {
    "G01 POST only": (
        get("key=$POSTING&action=balance"),
        BAD_REQUEST,
    ),
    "G01 POST only, the order in the query": (
        get("key=$POSTING&action=add&service=$DEFAULT&link=a&quantity=50"),
        BAD_REQUEST,
    ),
    "G09 revoked key": (call("REVOKED"), BAD_KEY),
    "G09 revoked key, add": (add("REVOKED"), BAD_KEY),
    "expired key": (call("EXPIRED"), BAD_KEY),
    "expired key, add": (add("EXPIRED"), BAD_KEY),
    "read key, add": (add("READING"), BAD_KEY),
    "read key, create": (call("READING", "create", service="$DEFAULT"), BAD_KEY),
    "G10 suspended, add": (add("STOPPED"), SUSPENDED),
    "G10 suspended, bad add": (call("STOPPED", "add"), SUSPENDED),
    "read key of a suspended account, add": (add("MUTED"), BAD_KEY),
    "G12 elsewhere": (call("ELSEWHERE"), "IP not allowed"),
    "G12 elsewhere, add": (add("ELSEWHERE"), "IP not allowed"),
    "G12 elsewhere, claiming to be there": (
        Request("key=$ELSEWHERE&action=balance", headers=FORM | {"X-Forwarded-For": "203.0.113.1"}),
        "IP not allowed",
    ),
    "G14 wrong key in the body, good one in the query": (
        Request("key=wrong&action=balance", query="key=$KEY"),
        BAD_KEY,
    ),
    "N57 balance below zero": (add("DEBTOR"), NO_FUNDS),
}
ANSWERED = {
    "G01 GET": (get("key=$HERE&action=services"), b"["),
    "POST only, by POST": (call("POSTING"), b'{"balance":"10.00"'),
    "POST only, all in the query": (
        Request(query="key=$POSTING&action=balance"),
        b'{"balance":"10.00"',
    ),
    "read key, services": (call("READING", "services"), b"["),
    "read key, balance": (call("READING"), b'{"balance":'),
    "read key, status": (call("READING", "status", order="$OWN"), b'{"charge":'),
    "key that ends later": (call("LASTING"), b'{"balance":'),
    "G11 suspended, status": (
        call("SUSPENDED_KEY", "status", order="$SUSPENDED_ORDER"),
        b'{"charge":',
    ),
    "G11 suspended, balance": (call("STOPPED"), b'{"balance":"10.00"'),
    "read key of a suspended account, balance": (call("MUTED"), b'{"balance":"10.00"'),
    "address on the list": (call("HERE"), b'{"balance":'),
    "G14 other key in the query": (
        Request("key=$POSTING&action=balance", query="key=$KEY"),
        b'{"balance":"10.00"',
    ),
    "postpaid, below zero": (call("DEBTOR"), b'{"balance":"-0.09"'),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_a_key_or_an_account_does_not_allow_is_refused(desk: Desk, name: str) -> None:
    request, text = REFUSED[name]
    await desk.assert_refused(request, text)


@pytest.mark.parametrize("name", ANSWERED)
async def test_what_they_allow_is_answered(desk: Desk, name: str) -> None:
    request, begins = ANSWERED[name]
    before = await desk.facts()
    answer = await desk.ask(request)
    assert answer.status == 200
    assert answer.body.startswith(begins), answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    assert await desk.facts() == before


@pytest.mark.parametrize(
    ("event", "name", "request_"),
    [
        ("security.ip_not_allowed", "ELSEWHERE", call("ELSEWHERE")),
        ("security.read_key_orders", "READING", add("READING")),
        ("security.two_keys", "POSTING", Request("key=$POSTING&action=balance", query="key=$KEY")),
        ("security.two_keys", "HERE", Request("key=$HERE&action=balance", query="API_KEY[]=other")),
    ],
)
async def test_the_operator_is_told_of_misuse_without_the_key(
    desk: Desk, event: str, name: str, request_: Request
) -> None:
    mark = len(desk.gateway.log.read_bytes())
    await desk.ask(request_)
    [line] = map(json.loads, desk.printed(mark).splitlines())
    assert (line["event"], line["level"]) == (event, "warning")
    mac = mac_of(PEPPER.encode(), desk.names[name])
    assert line["key_id"] == await desk.pool.fetchval("select id from api_key where mac = $1", mac)
    assert line.get("address", "127.0.0.1") == "127.0.0.1"
    for secret in desk.names["POSTING"], desk.names[name], desk.customer.key:
        assert secret not in desk.printed(mark)


async def test_the_same_key_in_body_and_query_is_nothing_to_tell(desk: Desk) -> None:
    mark = len(desk.gateway.log.read_bytes())
    await desk.ask(Request("key=$HERE&action=balance", query="key=+$HERE&x=1"))
    assert desk.printed(mark) == ""


async def spent(desk: Desk, request: Request) -> tuple[list[Answer], Answer]:
    """Call until it is too much: the answers before, and the refusal."""
    answers: list[Answer] = []
    for _ in range(1000):
        answer = await desk.ask(request)
        if answer.status == 429:
            return answers, answer
        answers.append(answer)
    raise AssertionError("never too much")


def told(answer: Answer) -> list[int]:
    """The bucket's size, what is left, and the seconds until it is full."""
    return [int(answer.headers[name]) for name in LIMIT_HEADERS]


async def test_g35_calls_over_the_limit_are_refused_and_say_when_to_come_again(desk: Desk) -> None:
    slow = await desk.world.reseller("slow")
    await change(desk.pool, slow, request_limit=1)
    desk.names["SLOW"] = slow.key
    answers, refusal = await spent(desk, call("SLOW"))
    assert len(answers) >= 10
    assert {answer.status for answer in answers} == {200}
    assert told(answers[0]) == [10, 9, 1]
    assert [told(a)[1] for a in answers[:5]] == sorted([told(a)[1] for a in answers[:5]])[::-1]
    assert told(refusal) == [10, 0, 10]
    assert refusal.headers["Retry-After"] == "1"
    await desk.assert_refused(call("SLOW"), "Too many requests", status=429)
    # Its other key has a bucket of its own, and so has everybody else.
    desk.names["STEADY"] = await key_of(desk.pool, slow, KeyTerms())
    assert told(await desk.ask(call("STEADY"))) == [10, 9, 1]
    assert (await desk.call("balance")).status == 200


async def test_n68_orders_over_the_limit_are_refused_and_cost_nothing(desk: Desk) -> None:
    hasty = await desk.world.reseller("hasty")
    await change(desk.pool, hasty, request_limit=1)
    desk.names["HASTY"] = hasty.key
    answers, refused = await spent(desk, add("HASTY"))
    assert (refused.status, refused.json()) == (429, {"error": "Too many requests"})
    await desk.settled()
    placed = {answer.json()["order"] for answer in answers}
    rows = await desk.pool.fetch("select id from orders where reseller_id = $1", hasty.id)
    assert {row["id"] for row in rows} == placed
    assert await desk.world.balance(hasty) == 100 * UNIT - len(placed) * 45_000


@pytest.mark.parametrize(
    "request_",
    [
        call("LASTING"),
        call("LASTING", "status", order="999999"),
        call("LASTING", "add"),
        call("LASTING", "drop"),
        call("READING", "add"),
        call("STOPPED", "add"),
        get("key=$POSTING&action=balance"),
    ],
)
async def test_every_answer_to_a_known_key_says_what_is_left(desk: Desk, request_: Request) -> None:
    size, left, _ = told(await desk.ask(request_))
    assert 0 < left < size


@pytest.mark.parametrize("name", ["REVOKED", "EXPIRED", "ELSEWHERE", "LINK"])
async def test_others_are_told_nothing_of_limits(desk: Desk, name: str) -> None:
    answer = await desk.ask(call(name))
    assert "error" in answer.json()
    assert not set(LIMIT_HEADERS) & set(answer.headers)


async def test_a_reseller_without_a_limit_is_told_of_none(desk: Desk) -> None:
    free = await desk.world.reseller("free")
    await change(desk.pool, free, request_limit=0)
    desk.names["FREE"] = free.key
    answers = [await desk.ask(call("FREE")) for _ in range(30)]
    assert {answer.status for answer in answers} == {200}
    assert not set(LIMIT_HEADERS) & set(answers[0].headers)


async def test_limited_calls_are_counted(desk: Desk) -> None:
    counted = await desk.world.reseller("counted")
    await change(desk.pool, counted, request_limit=1)
    desk.names["COUNTED"] = counted.key
    await spent(desk, call("COUNTED"))
    async with desk.session.get(desk.gateway.internal_url + "/metrics") as page:
        text = await page.text()
    assert 'smm_rate_limited_total{kind="key"}' in text
    assert 'smm_requests_total{action="balance",outcome="limited"}' in text


def wrong(address: str, key: str = "wrong") -> Request:
    """A call with a key that opens nothing, through a proxy that names the caller."""
    return Request(f"key={key}&action=balance", headers=FORM | {"X-Forwarded-For": address})


GUESSER, NEIGHBOUR = "203.0.113.7", "203.0.113.8"
TRUSTED = {"port": 0, "trusted_proxies": ["127.0.0.0/8"]}


async def test_g36_a_guesser_of_keys_is_stopped_and_disturbs_nobody(
    desk: Desk, world: World, pool: Pool, open_gateway: OpenGateway
) -> None:
    known, new = await world.reseller("known"), await world.reseller("new")
    async with open_gateway(http=TRUSTED) as gateway:

        async def answer(address: str, key: str = "wrong") -> tuple[int, dict[str, str]]:
            got = await ask(desk.session, gateway.api_url, wrong(address, key))
            return got.status, got.json()

        assert (await answer(GUESSER, known.key))[0] == 200
        for _ in range(100):
            assert await answer(GUESSER) == (200, {"error": BAD_KEY})
        refusal = await ask(desk.session, gateway.api_url, wrong(GUESSER))
        while refusal.status != 429:  # so slow that some were forgiven meanwhile
            refusal = await ask(desk.session, gateway.api_url, wrong(GUESSER))
        assert refusal.json() == {"error": "Too many requests"}
        assert refusal.headers["Retry-After"] == "1"
        assert not set(LIMIT_HEADERS) & set(refusal.headers)
        # Good keys still work from there, wrong ones of the right form do not.
        assert (await answer(GUESSER, known.key))[0] == 200
        assert (await answer(GUESSER, new.key))[0] == 200
        assert (await answer(NEIGHBOUR))[0] == 200
        assert (await answer(NEIGHBOUR, new.key))[0] == 200
        # A guess that cannot be one of ours is not even looked up.
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("lock table api_key in access exclusive mode")
            assert 429 in {(await answer(GUESSER))[0] for _ in range(3)}
    await world.assert_sound()


async def test_a_key_is_held_to_its_addresses_behind_a_trusted_proxy(
    desk: Desk, world: World, pool: Pool, open_gateway: OpenGateway
) -> None:
    customer = await world.reseller()
    bound = await key_of(pool, customer, KeyTerms(networks=(ip_network(f"{GUESSER}/32"),)))
    async with open_gateway(http=TRUSTED) as gateway:

        async def answer(address: str) -> Any:
            return (await ask(desk.session, gateway.api_url, wrong(address, bound))).json()

        assert await answer(GUESSER) == {"balance": "100.00", "currency": "USD"}
        assert await answer(f"{NEIGHBOUR}, {GUESSER}:4711") == await answer(GUESSER)
        for address in (NEIGHBOUR, f"{GUESSER}, {NEIGHBOUR}", "unknown", ""):
            assert await answer(address) == {"error": "IP not allowed"}


async def test_whoever_tries_a_key_from_everywhere_is_counted_as_a_guesser(
    desk: Desk, world: World, pool: Pool, open_gateway: OpenGateway
) -> None:
    customer = await world.reseller()
    bound = await key_of(pool, customer, KeyTerms(networks=(ip_network(f"{GUESSER}/32"),)))
    async with open_gateway(http=TRUSTED, limits={"wrong_keys_per_minute": 1}) as gateway:

        async def answer(address: str, key: str) -> int:
            return (await ask(desk.session, gateway.api_url, wrong(address, key))).status

        assert [await answer(NEIGHBOUR, bound) for _ in range(2)] == [200, 429]
        assert await answer(NEIGHBOUR, customer.key) == 200
        assert await answer(GUESSER, bound) == 200


async def test_g40_a_call_without_tls_is_refused_in_place_and_its_key_is_named_as_exposed(
    desk: Desk, world: World, open_gateway: OpenGateway, capture: LogCapture
) -> None:
    customer = await world.reseller()
    async with open_gateway(http=TRUSTED) as gateway:

        async def answer(key: str, *protocols: str) -> tuple[int, Any, list[dict[str, Any]]]:
            headers = FORM | {"X-Forwarded-For": GUESSER, "X-Forwarded-Proto": ", ".join(protocols)}
            call = Request(f"key={key}&action=balance", headers=headers)
            with structlog.testing.capture_logs() as logs:
                given = await ask(desk.session, gateway.api_url, call)
            exposed = [dict(line) for line in logs if line["event"] == "security.exposed_key"]
            return given.status, given.json(), exposed

        good = {"balance": "100.00", "currency": "USD"}
        assert await answer(customer.key, "https") == (200, good, [])
        # What the client itself wrote stands before what the proxy says.
        assert await answer(customer.key, "http", "https") == (200, good, [])
        for protocols in (("http",), ("https", "http")):
            status, body, [line] = await answer(customer.key, *protocols)
            assert (status, body) == (403, {"error": "Use https"})
            assert line["key_id"] == 1
            assert customer.key not in str(line)
        assert await answer("wrong", "http") == (403, {"error": "Use https"}, [])
    # Nobody else can say so.
    async with open_gateway() as gateway:
        assert await answer(customer.key, "http") == (200, good, [])
