"""Bad orders: each is refused in the words that clients know, and none costs anything."""

import json

import pytest

from tests.web.desk import JSON, Desk, Request, form

BAD_REQUEST = "Incorrect request"
BAD_SERVICE = "Incorrect service ID"
BAD_LINK = "Bad link"
BAD_QUANTITY = "Incorrect quantity"
TOO_FEW = "Quantity less than minimal 50"
TOO_MANY = "Quantity more than maximum 10000"

GOOD: dict[str, str | list[str]] = {
    "key": "$KEY",
    "action": "add",
    "service": "$DEFAULT",
    "link": "https://a.example/p/1",
    "quantity": "100",
}


def add(**changed: str | list[str] | None) -> Request:
    """A good order for the Default service, but for these parameters; None leaves one out."""
    fields = GOOD | changed
    return Request(form({name: value for name, value in fields.items() if value is not None}))


def comments(text: str | None, **changed: str) -> Request:
    """An order for the Custom Comments service, which takes 2 to 4 lines."""
    return add(**({"service": "$COMMENTS", "quantity": None, "comments": text} | changed))


def add_json(name: str, value: str) -> Request:
    """A good order in JSON, but for one parameter, whose value is written as given."""
    good = {key: json.dumps(text) for key, text in GOOD.items()} | {name: value}
    text = ",".join(f'"{key}":{written}' for key, written in good.items())
    return Request("{" + text + "}", headers=JSON)


def rows(row: str, parameter: str, values: list[str], text: str) -> dict[str, tuple[Request, str]]:
    """One row of the table for each of these values of a parameter."""
    return {
        f"{row} {parameter}={value!r}"[:60]: (add(**{parameter: value}), text) for value in values
    }


def json_rows(
    row: str, parameter: str, values: list[str], text: str
) -> dict[str, tuple[Request, str]]:
    """One row for each of these values, written as they are into JSON."""
    return {
        f"{row} JSON {parameter}={value}"[:60]: (add_json(parameter, value), text)
        for value in values
    }


NO_IDS = [
    "abc",
    "$DEFAULTabc",
    "$DEFAULT.0",
    "0x1",
    "1e0",
    "-1",
    "+1",
    "0",
    "\uff11",
    "\u0661",
    "1_0",
    "1 0",
]
NOT_DIGITS = ["100.5", "1e3", "1E3", "+100", "-100", "-1000", "1_000", "1,000", "1.000", "100.00"]
NOT_DIGITS += [
    "0x64",
    "1 000",
    "\uff11\uff10\uff10",
    "\u0663\u0660\u0660",
    "²",
    "100\n",
    "\n100",
    "0100",
    "Infinity",
    "true",
    "100.",
]
HIDDEN = ["\r", "\n", "\0", "\t", "\u200b", "\u202e", "\u2028", "\x7f"]

ROWS = {
    "N01 nothing": (Request(form({"key": "$KEY", "action": "add"})), BAD_REQUEST),
    "N01 no service": (add(service=None), BAD_REQUEST),
    **rows("N01", "service", ["", "  ", "undefined", "null"], BAD_REQUEST),
    **rows("N02", "service", NO_IDS, BAD_SERVICE),
    **rows("N03", "service", ["9" * 21, "2147483648", "999999"], BAD_SERVICE),
    **rows("N04", "service", ["$DEFAULT;drop table orders", "1' or '1'='1"], BAD_SERVICE),
    **rows("N06", "service", ["$OFF"], BAD_SERVICE),
    **json_rows("N08", "service", ["true", "$DEFAULT.0", "[$DEFAULT]", "[]"], BAD_SERVICE),
    **json_rows("N09", "service", ['{"$gt":0}', "{}"], BAD_SERVICE),
    "N10 two services": (add(service=["$DEFAULT", "$PACKAGE"]), BAD_REQUEST),
    "N12 no link": (add(link=None), BAD_REQUEST),
    **json_rows("N12", "link", ["null"], BAD_REQUEST),
    **rows("N12", "link", ["", "   "], BAD_LINK),
    **rows("N13", "link", ["https://a.example/" + "x" * 2031, "x" * 100_000], BAD_LINK),
    **rows(
        "N14",
        "link",
        [
            *("javascript:alert(1)", "JavaScript:alert(1)", "javascript:1/alert(1)"),
            *("javascript:80?alert(1)", "data:text/html,x", "data:1", "file:///etc/passwd"),
            *(
                "ftp://a.example/",
                "vbscript:x",
                "mailto:a@b.example",
                "http:a.example",
                "https:///",
            ),
        ],
        BAD_LINK,
    ),
    **rows("N16", "link", [f"https://a.example/{sign}x" for sign in HIDDEN], BAD_LINK),
    **rows(
        "N17",
        "link",
        ["https://user:pass@a.example/", "https://user@a.example/", "user:pass@a.example"],
        BAD_LINK,
    ),
    **rows("N18", "link", ['=HYPERLINK("http://x")'], BAD_LINK),
    **rows(
        "N23",
        "link",
        [
            *("https://a.example/ https://b.example/", "https://a.example/\nhttps://b.example/"),
            *("https://a.example/,https://b.example/", "https://a.example/;HTTP://b.example/"),
        ],
        BAD_LINK,
    ),
    **json_rows("link", "link", ["[]", '["https://a.example/"]', "{}", "NaN"], BAD_LINK),
    **json_rows("link", "link", ['"https://a.example/\\ud83d"', '"a\\u0000"'], BAD_LINK),
    "N24 no quantity": (add(quantity=None), BAD_REQUEST),
    **rows("N24", "quantity", ["", " ", "undefined", "null", "NaN", "none"], BAD_REQUEST),
    **json_rows("N24", "quantity", ["null", "NaN"], BAD_REQUEST),
    **rows("N25", "quantity", ["0", "0.0"], TOO_FEW),
    **rows("N27", "quantity", ["49", "1", "49.0"], TOO_FEW),
    **rows("N27", "quantity", ["10001", "10001.0"], TOO_MANY),
    **rows("N26 N29-N33", "quantity", NOT_DIGITS, BAD_QUANTITY),
    **json_rows("N34", "quantity", ["Infinity", "-Infinity", "true", "[100]", "{}"], BAD_QUANTITY),
    **rows("N35", "quantity", ["2147483648", "9223372036854775808", "1" + "0" * 30], TOO_MANY),
    **json_rows("N35", "quantity", ["9223372036854775808", "1" + "0" * 30], TOO_MANY),
    **json_rows(
        "N36", "quantity", ["1e2", "100.5", "-100", '"1e2"', '"\uff11\uff10\uff10"'], BAD_QUANTITY
    ),
    "N38 two quantities": (add(quantity=["50", "10000"]), BAD_REQUEST),
    "N38 quantity in body twice": (Request(form(GOOD) + "&Quantity=50"), BAD_REQUEST),
    "N39 no comments": (comments(None), BAD_REQUEST),
    "N39 empty comments": (comments(""), BAD_REQUEST),
    "N39 blank lines": (comments(" \r\n\n \t\r"), BAD_REQUEST),
    "N40 one comment": (comments("one"), "Quantity less than minimal 2"),
    "N40 one comment and quantity": (comments("one", quantity="3"), "Quantity less than minimal 2"),
    "N40 five comments": (comments("1\n2\n3\n4\n5"), "Quantity more than maximum 4"),
    "N43 NUL": (comments("one\ntwo\0"), "Incorrect comments"),
    "comments in an object": (
        Request(
            '{"key":"$KEY","action":"add","service":$COMMENTS,"link":"a","comments":{"1":"a"}}',
            headers=JSON,
        ),
        "Incorrect comments",
    ),
    "comments with half a pair": (
        Request(
            '{"key":"$KEY","action":"add","service":$COMMENTS,"link":"a",'
            '"comments":["good","bad \\ud83d"]}',
            headers=JSON,
        ),
        "Incorrect comments",
    ),
    "comments with an escaped NUL": (
        Request(
            '{"key":"$KEY","action":"add","service":$COMMENTS,"link":"a",'
            '"comments":"good\\nbad\\u0000"}',
            headers=JSON,
        ),
        "Incorrect comments",
    ),
    "no link for comments": (add(service="$COMMENTS", link=None, comments="a\nb"), BAD_REQUEST),
    "no link for a package": (add(service="$PACKAGE", link=None), BAD_REQUEST),
    "bad link for a package": (add(service="$PACKAGE", link="data:x"), BAD_LINK),
    "N55 more than there is": (
        add(quantity="10000", service="$DEAR"),
        "Not enough funds on balance",
    ),
    "N52 price of the client": (
        add(quantity="10000", service="$DEAR", charge="0", price="0.01", rate="0", balance="1e9"),
        "Not enough funds on balance",
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_bad_order_is_refused_and_costs_nothing(desk: Desk, name: str) -> None:
    request, text = ROWS[name]
    await desk.assert_refused(request, text)


async def test_a_suspended_reseller_reads_but_does_not_buy(desk: Desk) -> None:
    refused = Request(form(GOOD | {"key": "$SUSPENDED_KEY"}))
    await desk.assert_refused(refused, "Your account has been suspended.")
    reading = form({"key": "$SUSPENDED_KEY", "action": "status", "order": "$SUSPENDED_ORDER"})
    assert (await desk.ask(Request(reading))).json()["status"] == "Pending"
    balance = await desk.ask(Request(form({"key": "$SUSPENDED_KEY", "action": "balance"})))
    assert balance.json() == {"balance": "99.91", "currency": "USD"}
