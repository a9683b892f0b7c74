"""Whatever is sent to the endpoint, it answers in JSON, writes nothing and never fails."""

import json
from urllib.parse import quote_from_bytes

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.desk import Desk, Request

BYTES = st.binary(max_size=60)
# Never a key that opens anything together with a sound order: nothing may be bought.
NAMES = st.sampled_from(
    [
        *("key", "action", "service", "link", "quantity", "comments", "order", "orders"),
        *("orders[]", "order[0]", "Key", "api_key", " action ", "comments[]", "", "[]", "x"),
        *("runs", "interval", "refill", "refills", "external_id", "max_charge", "usernames"),
        *("posts", "expiry"),
    ]
)
VALUES = st.sampled_from(
    [
        *("$KEY", "add", "status", "balance", "services", "$OWN", "$DEFAULT", "$OFF"),
        # The desk's services offer neither refill nor cancel, so that these change nothing.
        *("refill", "refill_status", "cancel", "orders", "$OWN,$FOREIGN"),
        *("1", "5", "undefined", "31/12/2099", "2.50"),
        *(
            "0",
            "-1",
            "1e9",
            "49",
            "10001",
            "\0",
            "\ud800",
            "\r\n",
            "",
            " ",
            "null",
            "\uff41dd",
            "\u2167",
            "²",
        ),
    ]
) | st.text(st.characters(), max_size=20)
TYPES = st.sampled_from(
    [
        *("application/x-www-form-urlencoded", "application/json", "multipart/form-data"),
        *("multipart/form-data; boundary=b", "multipart/mixed; boundary=b", "text/plain", "a/b; ="),
        *("application/json; charset=utf-16", "multipart/form-data; boundary=", "\u0131/\u0131"),
    ]
)
METHODS = st.sampled_from(["GET", "POST"])


def encoded(fields: list[tuple[str, str]]) -> bytes:
    """Fields as a form; what is no text is sent as the bytes that clients make of it."""
    return "&".join(
        f"{quote_from_bytes(name.encode())}="
        + quote_from_bytes(value.encode("utf-8", "surrogatepass"), safe="$")
        for name, value in fields
    ).encode()


def in_parts(fields: list[tuple[str, str]]) -> bytes:
    """Fields as multipart."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (name.encode(), value.encode("utf-8", "surrogatepass"))
        for name, value in fields
    ]
    return b"".join(parts) + b"--b--\r\n"


FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
JSON_VALUES = st.recursive(
    VALUES | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
BODIES = st.one_of(
    BYTES,
    FIELDS.map(encoded),
    FIELDS.map(in_parts),
    st.dictionaries(NAMES, JSON_VALUES, max_size=8).map(lambda v: json.dumps(v).encode()),
    st.tuples(FIELDS.map(in_parts) | FIELDS.map(encoded), st.integers(0, 80)).map(
        lambda cut: cut[0][: cut[1]]
    ),
    st.tuples(BYTES, FIELDS.map(in_parts)).map(lambda pair: pair[0] + pair[1]),
)


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODIES, query=FIELDS.map(encoded) | BYTES, type_=TYPES, method=METHODS)
async def test_no_request_makes_it_fail_or_write(
    desk: Desk, body: bytes, query: bytes, type_: str, method: str
) -> None:
    before = await desk.facts()
    safe = quote_from_bytes(query, safe="$&=%[]+;,:/?@!'()*~<>{}\"\\^`|")
    answer = await desk.ask(
        Request(body, method=method, query=safe, headers={"Content-Type": type_})
    )
    assert answer.status in {200, 413}, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    answer.json()
    assert await desk.facts() == before
