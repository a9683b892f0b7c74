"""How calls arrive: every encoding, path, method and place of the key that clients use."""

import gzip

import pytest

from tests.web.desk import FORM, JSON, Desk, Request

# The rival never buys anything after the desk is set up.
BALANCE = {"balance": "99.91", "currency": "USD"}
CALL = "key=$RIVAL_KEY&action=balance"
CALL_JSON = '{"key":"$RIVAL_KEY","action":"balance"}'


def parts(*pairs: tuple[str, str], end: bytes = b"\r\n--b7--\r\n") -> bytes:
    """A multipart body with these headers and values."""
    made = [f"--b7\r\n{head}\r\n\r\n{value}" for head, value in pairs]
    return "\r\n".join(made).encode() + end


def named(name: str) -> str:
    """The header of a text part."""
    return f'Content-Disposition: form-data; name="{name}"'


MULTIPART = {"Content-Type": "multipart/form-data; boundary=b7"}
TWO_PARTS = parts((named("key"), "$RIVAL_KEY"), (named("action"), "balance"))

PATHS = ["/api/v2", "/api/v2/", "/api/v2.php", "/api/v2/index.php"]

ENCODINGS = {
    "form": Request(CALL),
    "form with a charset": Request(
        CALL, headers={"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
    ),
    "G25 form without a content type": Request(CALL, headers={}),
    "G25 form as plain text": Request(CALL, headers={"Content-Type": "text/plain"}),
    "form as JSON": Request(CALL, headers=JSON),
    "form with a broken content type": Request(CALL, headers={"Content-Type": "/;;="}),
    "form with escapes": Request("%6Bey=$RIVAL_KEY&action=%62alance"),
    "form with stray ampersands": Request(f"&&{CALL}&&"),
    "JSON": Request(CALL_JSON, headers=JSON),
    "JSON with blanks": Request(f" \r\n{' ' * 40}{CALL_JSON}\n", headers=JSON),
    "G28 JSON with a mark": Request(b"\xef\xbb\xbf" + CALL_JSON.encode(), headers=JSON),
    "JSON as a form": Request(CALL_JSON),
    "G25 JSON as plain text": Request(CALL_JSON, headers={"Content-Type": "text/plain"}),
    "G25 JSON without a content type": Request(CALL_JSON, headers={}),
    "JSON as multipart": Request(CALL_JSON, headers=MULTIPART),
    "JSON with unknown members": Request(
        '{"key":"$RIVAL_KEY","action":"balance","x":{"y":[1,null,{"z":1e400}]},"n":null}',
        headers=JSON,
    ),
    "G26 multipart": Request(TWO_PARTS, headers=MULTIPART),
    "multipart as a form": Request(TWO_PARTS),
    "multipart without a last line end": Request(
        parts((named("key"), "$RIVAL_KEY"), (named("action"), "balance"), end=b"\r\n--b7--"),
        headers=MULTIPART,
    ),
    "multipart with other headers": Request(
        parts(
            (f"Content-Type: text/plain; charset=utf-8\r\n{named('key')}", "$RIVAL_KEY"),
            ("content-disposition:form-data;name=action\r\nContent-Length: 7", "balance"),
        ),
        headers=MULTIPART,
    ),
    "G26 multipart with a file": Request(
        parts(
            (named("key"), "$RIVAL_KEY"),
            (named("action"), "balance"),
            (f'{named("key")}; filename="k.txt"\r\nContent-Type: text/plain', "other"),
            (f"{named('action')}; filename*=utf-8''a", "services"),
        ),
        headers=MULTIPART,
    ),
    "POST with all in the query": Request(query=CALL),
    "G01 GET": Request(method="GET", query=CALL, headers={}),
    "half in the query": Request("action=balance", query="key=$RIVAL_KEY"),
    "G14 body wins over the query": Request(CALL, query="key=other&action=services"),
    "G13 the same key twice": Request(f"{CALL}&key=$RIVAL_KEY"),
    "G16 names in other cases": Request("KEY=$RIVAL_KEY&+Action+=+BALANCE+"),
    "G19 action in brackets": Request("key=$RIVAL_KEY&action[]=balance"),
    "unknown parameters": Request(f"{CALL}&is_test=1&note[a][b]=c&[]=&==&ref="),
}

PLACES = {
    "api_key": Request("api_key=$RIVAL_KEY&action=balance"),
    "api": Request("api=$RIVAL_KEY&action=balance"),
    "api_token": Request("api_token=$RIVAL_KEY&action=balance"),
    "with blanks": Request("key=+$RIVAL_KEY%0A&action=balance"),
    "X-API-Key": Request("action=balance", headers=FORM | {"X-API-Key": "$RIVAL_KEY"}),
    "Bearer": Request("action=balance", headers=FORM | {"Authorization": "Bearer $RIVAL_KEY"}),
    "bearer": Request("action=balance", headers=FORM | {"authorization": "bearer  $RIVAL_KEY"}),
    "Bearer with GET": Request(
        method="GET", query="action=balance", headers={"Authorization": "Bearer $RIVAL_KEY"}
    ),
    "key before api_key": Request("api_key=other&key=$RIVAL_KEY&action=balance"),
    "parameter before header": Request(CALL, headers=FORM | {"X-API-Key": "other"}),
    "X-API-Key before Bearer": Request(
        "action=balance",
        headers=FORM | {"X-API-Key": "$RIVAL_KEY", "Authorization": "Bearer other"},
    ),
    "empty key, then the header": Request(
        "key=&action=balance", headers=FORM | {"X-API-Key": "$RIVAL_KEY"}
    ),
    "blank key, then the header": Request(
        "key=%20&api=%09&action=balance", headers=FORM | {"X-API-Key": "$RIVAL_KEY"}
    ),
    "blank key, then api_key": Request("key=+&api_key=$RIVAL_KEY&action=balance"),
    "api_key in the body, then key in the query": Request(
        "api_key=$RIVAL_KEY&action=balance", query="key=other"
    ),
    "api_token in JSON, then key in the query": Request(
        '{"api_token":"$RIVAL_KEY","action":"balance"}', query="KEY=other", headers=JSON
    ),
    "blank key in the body, then api_key in the query": Request(
        "key=+&action=balance", query="api_key=$RIVAL_KEY"
    ),
}


@pytest.mark.parametrize("name", ENCODINGS)
async def test_a_call_is_read_however_it_is_encoded(desk: Desk, name: str) -> None:
    answer = await desk.ask(ENCODINGS[name])
    assert (answer.status, answer.json()) == (200, BALANCE)


async def test_a_compressed_call_is_read(desk: Desk) -> None:
    squeezed = gzip.compress(desk.fill(CALL).encode())
    request = Request(squeezed, headers=FORM | {"Content-Encoding": "gzip"})
    assert (await desk.ask(request)).json() == BALANCE


@pytest.mark.parametrize("name", PLACES)
async def test_the_key_is_found_wherever_clients_put_it(desk: Desk, name: str) -> None:
    assert (await desk.ask(PLACES[name])).json() == BALANCE


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("rest", ["", "&x", "&?"])
async def test_all_spellings_of_the_path_answer_in_place(
    desk: Desk, path: str, method: str, rest: str
) -> None:
    answer = await desk.ask(Request(method=method, path=path, query=CALL + rest, headers={}))
    assert (answer.status, answer.json()) == (200, BALANCE)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_other_methods_do_nothing(desk: Desk, path: str, method: str) -> None:
    order = "key=$KEY&action=add&service=$DEFAULT&link=https://a.example/&quantity=50"
    before = await desk.facts()
    answer = await desk.ask(Request(method=method, path=path, query=order, headers={}))
    assert (answer.status, answer.headers["Content-Type"]) == (405, "application/json")
    assert answer.body == (b"" if method == "HEAD" else b'{"error":"Incorrect request"}')
    assert await desk.facts() == before


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/api", "/api/v1", "/api/v2/orders", "/API/V2", "//api/v2", "/api/v2//"),
        *("/metrics", "/healthz", "/readyz", "/ops", "/docs/", "/.git/config", "/%ff", "/<script>"),
    ],
)
async def test_nothing_else_is_served_to_the_public(desk: Desk, path: str, method: str) -> None:
    answer = await desk.ask(
        Request(method=method, path=path, query=CALL, headers={"Accept": "text/html"})
    )
    assert (answer.status, answer.body) == (404, b'{"error":"Incorrect request"}')
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_foreign_page_may_not_read_answers(desk: Desk) -> None:
    headers = FORM | {"Origin": "https://evil.example"}
    answer = await desk.ask(Request(CALL, headers=headers))
    assert answer.json() == BALANCE
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_agents_and_preferences_of_clients_change_nothing(desk: Desk) -> None:
    headers = FORM | {
        "User-Agent": "Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)",
        "Accept": "text/html",
        "Expect": "100-continue",
    }
    answer = await desk.ask(Request(CALL, headers=headers))
    assert (answer.json(), answer.headers["Content-Type"]) == (BALANCE, "application/json")
