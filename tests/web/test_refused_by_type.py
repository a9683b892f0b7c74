"""Bad orders of every service type: refused in known words, and none costs anything."""

import json

import pytest

from schemas.services import SERVICE_TYPES
from tests.web.conftest import type_name
from tests.web.desk import JSON, Desk, Request, form

BAD_REQUEST = "Incorrect request"


def order(name: str, **changed: str | list[str] | None) -> Request:
    """A good order of a type, but for these parameters; None leaves one out."""
    fields = {"key": "$KEY", "action": "add", "service": service(name)}
    fields |= SERVICE_TYPES[name].example
    wanted = {k: v for k, v in (fields | changed).items() if v is not None}
    return Request(form(wanted))


def order_json(name: str, parameter: str, value: str) -> Request:
    """A good order in JSON, but for one parameter, whose value is written as given."""
    fields = {"key": "$KEY", "action": "add", "service": service(name)}
    fields |= SERVICE_TYPES[name].example
    written = {k: json.dumps(v) for k, v in fields.items()} | {parameter: value}
    return Request("{" + ",".join(f'"{k}":{v}' for k, v in written.items()) + "}", headers=JSON)


def service(name: str) -> str:
    """The desk's service of this type."""
    return f"${type_name(name)}"


def rows(
    row: str, name: str, parameter: str, values: list[str | None], text: str
) -> dict[str, tuple[Request, str]]:
    """One row of the table for each of these values of a parameter."""
    return {
        f"{row} {name} {parameter}={value!r}"[:60]: (order(name, **{parameter: value}), text)
        for value in values
    }


SUB, WEB = "Subscriptions", "Web Traffic"

ROWS = {
    **{
        f"missing {kind.name}: {parameter.name}": (
            order(kind.name, **{parameter.name: None}),
            BAD_REQUEST,
        )
        for kind in SERVICE_TYPES.values()
        for parameter in kind.parameters
        if parameter.required
    },
    **{
        f"bad {kind.name}: {parameter.name}": (
            order_json(kind.name, parameter.name, "{}"),
            "Bad link" if parameter.name == "link" else f"Incorrect {parameter.name}",
        )
        for kind in SERVICE_TYPES.values()
        for parameter in kind.parameters
    },
    **rows("N44", "Poll", "answer_number", ["0", "abc", "-1", "1.5"], "Incorrect answer_number"),
    **rows("N44", "Poll", "answer_number", ["", "null"], BAD_REQUEST),
    **rows("N45", "Mentions", "usernames", ["", " \r\n", ","], BAD_REQUEST),
    **rows("N45", "Mentions", "usernames", ["a\n" * 10_001], "Incorrect usernames"),
    **rows("N45", "Mentions Hashtag", "hashtag", ["", "  "], BAD_REQUEST),
    **rows("N45", "Mentions Hashtag", "hashtag", ["#a\n#b", "x" * 256], "Incorrect hashtag"),
    **rows("N45", "Mentions Media Likers", "media", ["data:x", "a b"], "Incorrect media"),
    **rows("N40", "Mentions Custom List", "usernames", ["a"], "Quantity less than minimal 5"),
    **rows("N47", SUB, "min", ["201"], "Incorrect min"),
    **rows("N47", SUB, "min", ["19"], "Quantity less than minimal 20"),
    **rows("N47", SUB, "max", ["10001"], "Quantity more than maximum 10000"),
    **rows("N47", SUB, "posts", ["-1", "0", "", None, "all", "1e3"], "Incorrect posts"),
    **rows("N47", SUB, "delay", ["7", "-5", "601"], "Incorrect delay"),
    **rows(
        "N47",
        SUB,
        "expiry",
        ["31/02/2027", "01/01/2020", "2020-01-01", "soon", "11-11-2099"],
        "Incorrect expiry",
    ),
    **rows("N47", SUB, "username", ["", "  "], BAD_REQUEST),
    **rows("N48", "Default", "runs", ["abc", "1.5", "1000000000", "-1"], "Incorrect runs"),
    **rows("N49", "Default", "runs", ["5"], BAD_REQUEST),
    **rows("N49", "Default", "interval", ["30"], BAD_REQUEST),
    **rows("N49", "Default", "interval", ["-5"], "Incorrect interval"),
    "N49 interval=-5": (order("Default", runs="5", interval="-5"), "Incorrect interval"),
    "N49 interval=10^9": (order("Default", runs="5", interval="1" + "0" * 9), "Incorrect interval"),
    "N49 intervals=0": (order("Default", runs="5", intervals="0"), "Incorrect interval"),
    "N51 service without drip-feed": (order("Poll", runs="5", interval="30"), BAD_REQUEST),
    "N51 type without drip-feed": (order("Package", runs="5", interval="30"), BAD_REQUEST),
    **rows("N58", "Default", "max_charge", ["0.01", "0", "0.000001"], "Price changed"),
    **rows("N58", "Default", "max_charge", ["-1", "1e3", "1,5", "free"], "Incorrect max_charge"),
    **rows("web", WEB, "google_keyword", [None, "", "null"], BAD_REQUEST),
    **rows("web", WEB, "type_of_traffic", ["2"], BAD_REQUEST),
    **rows("web", WEB, "type_of_traffic", ["4", "0", "search"], "Incorrect type_of_traffic"),
    **rows("web", WEB, "device", ["6", "0", "desktop"], "Incorrect device"),
    "two usernames": (order("Comment Likes", username=["a", "b"]), BAD_REQUEST),
    "two posts": (order(SUB, posts=["1", "2"]), BAD_REQUEST),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_bad_order_of_any_type_is_refused_and_costs_nothing(desk: Desk, name: str) -> None:
    request, text = ROWS[name]
    await desk.assert_refused(request, text)
