"""What stands before every page: roles, tokens of forms, origins, headers, and counted attempts."""

import asyncio
import itertools
import random
import re
from urllib.parse import urlsplit

import pytest

from gateway.app import Gateway
from gateway.operators.accounts import account_name
from gateway.store.connection import Pool
from gateway.web import slow_clients
from gateway.web.ops.access import NEEDS, Open, may
from schemas.operator_accounts import Stage
from schemas.operators import Role
from tests.conftest import OpenGateway
from tests.web.ops.client import Answer, OperatorClient
from tests.web.ops.conftest import SignedIn
from tests.web.ops.test_signing_in import Browse

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none';"
    " frame-ancestors 'none'"
)


def _path(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "999", route.partition(" ")[2])


async def _call(client: OperatorClient, route: str, token: str) -> Answer:
    method = route.partition(" ")[0]
    if method == "GET":
        return await client.get(_path(route))
    return await client.post(_path(route), {"token": token})


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_reaches_what_the_table_says_and_nothing_else(
    role: Role, signed_in: SignedIn
) -> None:
    client = await signed_in("ada", role)
    token = (await client.get("/ops/account")).token
    # What ends this session comes last, or has its own tests.
    skipped = {"POST /ops/sign-out"}
    for route, need in NEEDS.items():
        if isinstance(need, Open) or route in skipped:
            continue
        answer = await _call(client, route, token)
        refused = answer.status == 403 and "Your role" in answer.words
        assert refused is not may(role, need), f"{route}: {answer.status} {answer.words[:200]}"
        assert answer.status != 500, route


async def test_without_a_session_everything_leads_to_signing_in(browse: Browse) -> None:
    client = await browse()
    for route, need in NEEDS.items():
        if isinstance(need, Open):
            continue
        answer = await _call(client, route, "")
        assert answer.location == "/ops/sign-in", route


async def test_signing_in_half_way_opens_the_next_step_alone(
    signed_in: SignedIn, browse: Browse
) -> None:
    await signed_in("ada", Role.OWNER)
    client = await browse()
    await client.sign_in("ada", "a few words in a row")
    for route, need in NEEDS.items():
        if isinstance(need, Role) or need is Stage.ENROL:
            assert (await _call(client, route, "")).location == "/ops/code", route


async def test_a_form_needs_the_token_of_its_own_session(signed_in: SignedIn) -> None:
    client = await signed_in("ada", Role.OWNER)
    other = await signed_in("bo", Role.OWNER)
    good = (await client.get("/ops/account")).token
    bad = (await other.get("/ops/account")).token
    posts = [r for r, n in NEEDS.items() if r.startswith("POST") and isinstance(n, Role)]
    posts += ["POST /ops/enrol", "POST /ops/sign-out"]
    for route, token in itertools.product(posts, ("", bad, good[:-1], good.upper())):
        answer = await client.post(_path(route), {"token": token})
        assert (answer.status, "too old" in answer.words) == (403, True), route
    assert (await client.get("/ops")).status == 200


async def test_a_sign_in_form_needs_the_token_of_its_own_browser(browse: Browse) -> None:
    client, other = await browse(), await browse()
    token = (await other.get("/ops/sign-in")).token
    assert (await client.post("/ops/sign-in", {"token": token})).status == 403
    await client.get("/ops/sign-in")
    assert (await client.post("/ops/sign-in", {"token": token})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json"},
    ],
)
async def test_a_form_from_elsewhere_is_refused_with_the_right_token(
    headers: dict[str, str], signed_in: SignedIn
) -> None:
    client = await signed_in("ada", Role.VIEWER)
    token = (await client.get("/ops")).token
    assert (await client.post("/ops/sign-out", {"token": token}, **headers)).status == 403
    assert (await client.get("/ops")).status == 200
    good = {"Origin": client.url, "Sec-Fetch-Site": "same-origin"}
    assert (await client.post("/ops/sign-out", {"token": token}, **good)).status == 303


async def test_every_answer_has_the_same_strict_headers(
    signed_in: SignedIn, browse: Browse
) -> None:
    client, stranger = await signed_in("ada", Role.OWNER), await browse()
    token = (await client.get("/ops/account")).token
    answers = [await _call(client, route, token) for route in NEEDS if "sign-out" not in route]
    answers += [await stranger.get(path) for path in ("/ops", "/nothing", "/ops/.git/config")]
    answers.append(await stranger.send("DELETE", "/ops"))
    answers.append(await stranger.send("POST", "/ops/sign-in", b"x" * 300_000))
    for answer in answers:
        found = answer.headers
        assert found["Content-Security-Policy"] == _POLICY
        assert found["X-Content-Type-Options"] == "nosniff"
        assert found["Referrer-Policy"] == "same-origin"
        assert found["X-Frame-Options"] == "DENY"
        assert found["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
        assert found["Cache-Control"] == "no-store"
        assert not [name for name in found if name.startswith("Access-Control-")]


async def test_cookies_are_those_that_the_documents_name(browse: Browse) -> None:
    client = await browse()
    answer = await client.get("/ops/sign-in")
    assert [line.partition("=")[0] for line in answer.headers.getall("Set-Cookie")] == [
        "__Host-pre"
    ]


async def test_an_error_inside_shows_nothing_of_it(pool: Pool, signed_in: SignedIn) -> None:
    client = await signed_in("ada", Role.OWNER)
    await pool.execute("alter table operator_action rename to hidden")
    answer = await client.get("/ops/log")
    assert answer.status == 500
    assert "operator_action" not in answer.text
    assert "Traceback" not in answer.text


async def test_usual_paths_of_attackers_and_of_our_other_listeners_are_not_there(
    browse: Browse, gateway: Gateway
) -> None:
    client = await browse()
    for path in ("/metrics", "/healthz", "/api/v2", "/docs", "/.env", "/.git/HEAD", "/admin"):
        assert (await client.get(path)).status == 404
    public = OperatorClient(gateway.api_url.removesuffix("/api/v2"))
    async with public:
        for route in NEEDS:
            if _path(route) != "/":
                assert (await public.get(_path(route))).status == 404, route


async def test_guesses_at_an_account_slow_down_and_lock_no_operator_out(
    signed_in: SignedIn, browse: Browse
) -> None:
    owner = await signed_in("ada", Role.VIEWER)
    stranger = await browse()
    statuses = [(await stranger.sign_in("ada", f"guess {n}")).status for n in range(16)]
    assert statuses[0] == 403
    assert statuses[-1] == 429
    assert "Too many attempts" in (await stranger.sign_in("ada", "guess")).words
    # The same for a name that is nobody's.
    statuses = [(await stranger.sign_in("nobody", f"guess {n}")).status for n in range(16)]
    assert statuses[-1] == 429
    # The operator's own browser is known, and has attempts of its own.
    await owner.submit("/ops", "/ops/sign-out")
    assert (await owner.sign_in("ada", "a few words in a row")).location == "/ops"
    assert (await stranger.sign_in("ada", "a few words in a row")).status == 429


async def test_blanks_around_a_name_give_no_further_guesses(
    signed_in: SignedIn, browse: Browse
) -> None:
    await signed_in("ada", Role.VIEWER)
    stranger = await browse()
    blanks = ["\N{NO-BREAK SPACE}", "\N{EM SPACE}", "\N{IDEOGRAPHIC SPACE}", " "]
    places = list(itertools.product(blanks, (0, 1, 50, 99)))
    for end in ("", "x"):
        names = [f"ADA{' ' * n}{blank * (120 - n)}{end}" for blank, n in places]
        statuses = [(await stranger.sign_in(name, "guess")).status for name in names]
        assert statuses[-1] == 429


async def test_names_that_nobody_can_have_count_as_one(browse: Browse) -> None:
    stranger = await browse()
    names = ["", "a b", "ä" * 200, *("x" * 41 + str(n) for n in range(12))]
    statuses = [(await stranger.sign_in(name, "guess")).status for name in names]
    assert statuses[0] == 403
    assert statuses[-1] == 429


def test_a_name_is_made_plain_once_and_what_cannot_be_one_is_nobody() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    blanks = [c for c in map(chr, range(0x3100)) if c.isspace()]
    for _ in range(2_000):
        name = "".join(chance.choices("abcxyz019._-", k=chance.randint(1, 42)))
        around = ["".join(chance.choices(blanks, k=chance.randint(0, 150))) for _ in range(2)]
        typed = around[0] + chance.choice((name, name.upper())) + around[1]
        possible = len(name) <= 40 and name[0] not in "._-"
        found = account_name(typed)
        assert found == (name if possible else "")
        assert account_name(found) == found
        assert account_name(name + chance.choice(blanks) + name) == ""


async def test_one_address_cannot_try_many_accounts(browse: Browse) -> None:
    stranger = await browse()
    statuses = [(await stranger.sign_in(f"name{n}", "guess")).status for n in range(60)]
    assert statuses[0] == 403
    assert statuses[-1] == 429


async def test_guesses_at_a_code_slow_down(signed_in: SignedIn, browse: Browse) -> None:
    await signed_in("ada", Role.OWNER)
    thief = await browse()
    await thief.sign_in("ada", "a few words in a row")
    token = (await thief.get("/ops/code")).token
    statuses = [
        (await thief.post("/ops/code", {"token": token, "code": f"{n:06}"})).status
        for n in range(16)
    ]
    assert statuses[0] == 403
    assert statuses[-1] == 429


_ELSEWHERE = (
    {"Host": "ops.example.com"},
    {"Host": "127.0.0.1.example.com"},
    {"Host": "[::1"},
    {"Host": ""},
    {"X-Forwarded-For": "127.0.0.1"},
    {"x-forwarded-proto": "http"},
    {"Forwarded": "for=127.0.0.1"},
)


async def test_a_console_in_development_answers_this_machine_alone(
    open_gateway: OpenGateway,
) -> None:
    async with (
        open_gateway(ops={"port": 0, "development": True}) as gateway,
        OperatorClient(gateway.console_url) as client,
    ):
        port = client.url.rpartition(":")[2]
        for host in (f"localhost:{port}", "127.0.0.1", f"[::1]:{port}"):
            assert (await client.get("/ops/sign-in", Host=host)).status == 200
        for headers in _ELSEWHERE:
            for path in ("/ops/sign-in", "/ops/static/ops.css", "/nothing"):
                answer = await client.get(path, **headers)
                assert (answer.status, "ops.development" in answer.text) == (403, True), headers


async def test_a_welcome_link_leads_where_the_settings_say_whatever_was_asked_for(
    signed_in: SignedIn,
) -> None:
    owner = await signed_in("ada", Role.OWNER)
    page = await owner.get("/ops/operators")
    fields = {"token": page.token, "request": page.request, "name": "bo", "role": "viewer"}
    answer = await owner.post("/ops/operators", fields, Host="evil.example")
    assert "https://ops.example.com/ops/welcome/" in answer.text
    assert "evil.example" not in answer.text


_SIGNING_IN = b"POST /ops/sign-in HTTP/1.1\r\nHost: console\r\n"


@pytest.mark.parametrize(
    "sent",
    [b"", _SIGNING_IN, _SIGNING_IN + b"Content-Length: 10000\r\n\r\nname="],
    ids=["silent", "half a head", "half a body"],
)
async def test_a_connection_that_owes_the_rest_of_a_request_is_closed(
    sent: bytes, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "LONGEST_SECONDS", 0.2)
    to = urlsplit(gateway.console_url)
    reader, writer = await asyncio.open_connection(to.hostname, to.port)
    writer.write(sent)
    async with asyncio.timeout(30):
        assert b" 200 " not in await reader.read()
    writer.close()
