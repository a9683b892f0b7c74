"""Bad input in transport, authentication and action: refused in known words, without a trace."""

import gzip
import json

import pytest

from tests.web.desk import FORM, JSON, Desk, Request, form

BAD_KEY, BAD_REQUEST = "Invalid API key", "Incorrect request"
LARGE = "Request too large"


def keyed(key: str) -> Request:
    """A balance call with this key."""
    return Request(form({"key": key, "action": "balance"}))


def acted(action: str) -> Request:
    """A call of this action with a good key."""
    return Request(form({"key": "$KEY", "action": action}))


def json_call(text: str) -> Request:
    """A JSON body as it is written."""
    return Request(text, headers=JSON)


UTF_16 = json.dumps({"key": "$KEY", "action": "balance"})
SQUEEZED = gzip.compress(b"key=$KEY&action=balance&x=" + b"x" * 50_000_000)

ROWS = {
    "G02 nothing": (Request(), BAD_REQUEST),
    "G02 nothing with GET": (Request(method="GET", headers={}), BAD_REQUEST),
    "G03 no key": (Request("action=balance"), BAD_KEY),
    "G04 empty key": (keyed(""), BAD_KEY),
    "G04 blank key": (keyed(" \t "), BAD_KEY),
    "G05 wrong key": (keyed("smm_" + "a" * 46), BAD_KEY),
    "G06 last character changed": (keyed("$KEYx"[:-1] + "-"), BAD_KEY),
    "G07 key of 100 kB": (keyed("k" * 100_000), BAD_KEY),
    "G08 key with NUL": (keyed("a\0b"), BAD_KEY),
    "G08 key with a newline inside": (keyed("smm_a\nb"), BAD_KEY),
    "G08 key of emoji": (keyed("🗝️" * 10), BAD_KEY),
    "G08 key of SQL": (keyed("' OR 1=1--"), BAD_KEY),
    "G08 key of half a pair": (json_call('{"key":"\\ud800","action":"balance"}'), BAD_KEY),
    "key in a JSON array": (json_call('{"key":["$KEY"],"action":"balance"}'), BAD_KEY),
    "key in a JSON object": (json_call('{"key":{"a":1},"action":"balance"}'), BAD_KEY),
    "no bearer but basic": (
        Request("action=balance", headers=FORM | {"Authorization": "Basic $KEY"}),
        BAD_KEY,
    ),
    "header key that is not UTF-8": (
        Request("action=balance", headers=FORM | {"X-API-Key": "\udcff\udcfe"}),
        BAD_KEY,
    ),
    "G13 two keys": (Request("key=$KEY&key=other&action=balance"), BAD_REQUEST),
    "G13 two keys in other cases": (Request("key=$KEY&KEY=other&action=balance"), BAD_REQUEST),
    "G14 good key only in the query": (
        Request("key=wrong&action=balance", query="key=$KEY"),
        BAD_KEY,
    ),
    "G14 good key only in the query, by another name": (
        Request("api_key=wrong&action=balance", query="key=$KEY"),
        BAD_KEY,
    ),
    "G15 no action": (Request("key=$KEY"), BAD_REQUEST),
    "G15 empty action": (acted(""), BAD_REQUEST),
    "G17 unknown action": (acted("drop"), BAD_REQUEST),
    "G17 later action": (acted("webhook.add"), BAD_REQUEST),
    "G18 attribute as action": (acted("__class__"), BAD_REQUEST),
    "G18 path as action": (acted("../add"), BAD_REQUEST),
    "G18 action of 10 kB": (acted("a" * 10_000), BAD_REQUEST),
    "G19 two actions": (Request("key=$KEY&action[]=add&action[]=balance"), BAD_REQUEST),
    "G20 JSON array": (json_call("[]"), BAD_REQUEST),
    "G20 JSON array of calls": (json_call('[{"key":"$KEY","action":"balance"}]'), BAD_REQUEST),
    "G20 JSON string": (json_call('"x"'), BAD_REQUEST),
    "G20 JSON null": (json_call("null"), BAD_REQUEST),
    "G20 JSON number": (json_call("1"), BAD_REQUEST),
    "G21 broken JSON": (json_call('{"key":'), BAD_REQUEST),
    "G21 JSON with a tail": (json_call('{"key":"$KEY","action":"balance"}}'), BAD_REQUEST),
    "G22 name twice in JSON": (
        json_call('{"key":"$KEY","action":"balance","action":"services"}'),
        BAD_REQUEST,
    ),
    "G22 array name twice in JSON": (
        json_call('{"key":"$KEY","action":"status","orders":[$OWN],"ORDERS":[1]}'),
        BAD_REQUEST,
    ),
    "G23 deep JSON": (
        json_call('{"key":"$KEY","action":"balance","x":' + "[" * 100_000 + "]" * 100_000 + "}"),
        BAD_REQUEST,
    ),
    "G24 long number": (
        json_call('{"key":"$KEY","action":"balance","x":' + "9" * 5000 + "}"),
        BAD_REQUEST,
    ),
    "G25 plain text": (
        Request("what is my balance?", headers={"Content-Type": "text/plain"}),
        BAD_REQUEST,
    ),
    "G26 action in a file": (
        Request(
            b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n$KEY\r\n'
            b'--b\r\nContent-Disposition: form-data; name="action"; filename="a"\r\n\r\n'
            b"balance\r\n--b--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
        BAD_REQUEST,
    ),
    "G26 multipart cut off": (
        Request(
            b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n$KEY\r\n'
            b'--b\r\nContent-Disposition: form-data; name="action"\r\n\r\nbalance',
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
        BAD_REQUEST,
    ),
    "G26 multipart without a boundary": (
        Request(b"--", headers={"Content-Type": "multipart/form-data"}),
        BAD_REQUEST,
    ),
    "G27 form that is not UTF-8": (
        Request(b"key=$KEY&action=balance&x=\xff\xfe"),
        BAD_REQUEST,
    ),
    "G27 escapes that are not UTF-8": (Request("key=$KEY&action=balance&x=%ff"), BAD_REQUEST),
    "G27 query that is not UTF-8": (
        Request(method="GET", query="key=$KEY&action=balance&x=%C3", headers={}),
        BAD_REQUEST,
    ),
    "G27 JSON that is not UTF-8": (
        Request(b'{"key":"$KEY","action":"balance","x":"\xff"}', headers=JSON),
        BAD_REQUEST,
    ),
    "G28 UTF-16": (Request(UTF_16.encode("utf-16"), headers=JSON), BAD_REQUEST),
    "G28 UTF-16 without a mark": (Request(UTF_16.encode("utf-16-le"), headers=JSON), BAD_REQUEST),
    "not what was said to be gzip": (
        Request("key=$KEY&action=balance", headers=FORM | {"Content-Encoding": "gzip"}),
        BAD_REQUEST,
    ),
}

TOO_LARGE = {
    "G29 gzip of 50 MB": Request(SQUEEZED, headers=FORM | {"Content-Encoding": "gzip"}),
    "G30 form over 1 MB": Request("key=$KEY&action=balance&x=" + "x" * 1_000_000),
    "G30 JSON over 1 MB": json_call(
        '{"key":"$KEY","action":"balance","x":"' + "x" * 1_000_000 + '"}'
    ),
    "G31 1,001 fields": Request("key=$KEY&action=balance" + "&x=1" * 999),
    "G31 1,001 names in JSON": json_call(
        json.dumps({"key": "$KEY", "action": "balance"} | {f"x{n}": n for n in range(999)})
    ),
    "G31 1,001 parts": Request(
        b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n$KEY\r\n'
        + b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 1000
        + b"--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    ),
    "N42 comments over 1 MB": Request(
        "key=$KEY&action=add&service=$COMMENTS&link=a&comments=" + "%0Aa" * 300_000
    ),
    "Q11 ids over 1 MB": Request("key=$KEY&action=status&orders=" + "1," * 500_000),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_call_that_cannot_be_read_is_refused_in_known_words(desk: Desk, name: str) -> None:
    request, text = ROWS[name]
    await desk.assert_refused(request, text)


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_call_that_is_too_large_is_refused_with_413(desk: Desk, name: str) -> None:
    await desk.assert_refused(TOO_LARGE[name], LARGE, status=413)


async def test_a_body_that_does_not_decode_leaves_no_trace_in_the_log(desk: Desk) -> None:
    """The server, left alone, reads on after the answer and logs what it finds."""
    mark = len(desk.gateway.log.read_bytes())
    headers = FORM | {"Content-Encoding": "gzip"}
    answer = await desk.ask(Request("key=$KEY&action=balance", headers=headers))
    assert answer.headers["Connection"] == "close"
    assert (await desk.call("services")).status == 200
    assert desk.printed(mark) == ""
