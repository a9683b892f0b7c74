"""The documents of the API: sound, complete against the tables, and true of real answers."""

import asyncio
import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from gateway.web.api_actions import ACTIONS, EXTERNAL_ID, Example
from gateway.web.api_schemas import add_name
from gateway.web.docs_page import curl, docs_html, format_text
from gateway.web.openapi import openapi_document
from gateway.web.panel_api import _EXTERNAL_NAMES
from schemas import panel_v2
from schemas.order_parameters import INTERVAL, MAX_CHARGE, ORDER_OPTIONS, RUNS
from schemas.panel_errors import ERRORS, NAMED_PARAMETERS, is_listed
from schemas.services import SERVICE_TYPES, TYPES
from tests.web.conftest import type_name
from tests.web.desk import FORM, Desk, Request

DOCUMENT = openapi_document()
SCHEMAS = DOCUMENT["components"]["schemas"]


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Checks values against a schema that refers to the document's others."""
    return jsonschema_rs.Draft202012Validator({"components": {"schemas": SCHEMAS}, **schema})


def named(name: str) -> jsonschema_rs.Draft202012Validator:
    return validator({"$ref": f"#/components/schemas/{name}"})


CALL = validator(
    DOCUMENT["paths"]["/api/v2"]["post"]["requestBody"]["content"]["application/json"]["schema"]
)
ANSWER = validator(
    DOCUMENT["paths"]["/api/v2"]["post"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
)
EXAMPLES = [
    pytest.param(action.name, example, id=f"{action.name}, {example.title}")
    for action in ACTIONS
    for example in action.examples
]


def test_the_document_is_openapi() -> None:
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    for schema in SCHEMAS.values():
        jsonschema_rs.meta.validate(schema)
    used = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert used == set(SCHEMAS)


@pytest.mark.parametrize("name", SERVICE_TYPES)
def test_every_type_has_its_schema_and_that_says_what_is_needed(name: str) -> None:
    kind = SERVICE_TYPES[name]
    schema = SCHEMAS[add_name(kind)]
    common = {"key", "action", "service", EXTERNAL_ID.name, MAX_CHARGE.name}
    drip = {RUNS.name, INTERVAL.name} if kind.dripfeed else set()
    assert set(schema["properties"]) == common | drip | {p.name for p in kind.parameters}
    order = {"action": "add", "service": "1"} | kind.example
    assert named(add_name(kind)).is_valid(order)
    assert CALL.is_valid(order)
    for parameter in kind.parameters:
        rest = {key: value for key, value in order.items() if key != parameter.name}
        needed = parameter.required or parameter.name in kind.example
        assert named(add_name(kind)).is_valid(rest) is not needed, parameter.name
        for choice in parameter.choices:
            found = schema["properties"][parameter.name]["enum"]
            assert choice.value in found
            assert str(choice.value) in found


@pytest.mark.parametrize(("action", "example"), EXAMPLES)
def test_every_example_fits_its_schema(action: str, example: Example) -> None:
    assert CALL.is_valid({"action": action, **example.request})
    assert ANSWER.is_valid(example.answer)


#: Calls that get so far that the answer shows which action was understood.
REACHED = {
    "add": ({"service": "abc"}, "Incorrect service ID"),
    "status": ({"order": "abc"}, "Incorrect order ID"),
}


@pytest.mark.parametrize(
    ("action", "alias"), [(action.name, alias) for action in ACTIONS for alias in action.aliases]
)
async def test_every_other_name_of_an_action_is_taken(desk: Desk, action: str, alias: str) -> None:
    fields, text = REACHED[action]
    assert (await desk.call(alias, **fields)).json() == {"error": text}


def test_the_names_that_an_order_may_have_are_in_the_documents() -> None:
    told = (EXTERNAL_ID.name, *re.findall(r"as (\w+), (\w+),", EXTERNAL_ID.about)[0])
    assert told == _EXTERNAL_NAMES


def test_service_ids_may_be_numbers_or_texts() -> None:
    [example] = next(action.examples for action in ACTIONS if action.name == "services")
    [service] = example.answer
    good: tuple[object, ...] = (1, 999_999, "1", "999999")
    for id_ in good:
        assert ANSWER.is_valid([service | {"service": id_}])
    bad: tuple[object, ...] = (0, 1_000_000, "0", "01", "1000000", "a", "", None)
    for id_ in bad:
        assert not ANSWER.is_valid([service | {"service": id_}])


async def test_every_header_of_an_answer_is_in_the_document(desk: Desk) -> None:
    operations = DOCUMENT["paths"]["/api/v2"]
    for operation in operations.values():
        assert "Idempotency-Key" in {p["name"] for p in operation["parameters"]}
    responses = operations["post"]["responses"]
    transport = {"Content-Type", "Cache-Control", "Content-Length", "Date", "Server", "Connection"}
    request = Request(
        "key=$KEY&action=add&service=$DEFAULT&link=a&quantity=50",
        headers=FORM | {"Idempotency-Key": "told once"},
    )
    answers = [await desk.ask(request), await desk.ask(request)]
    first, second = (set(answer.headers) - transport for answer in answers)
    assert first < second == set(responses["200"]["headers"])
    assert {"Retry-After"} < set(responses["429"]["headers"]) == set(responses["503"]["headers"])
    await desk.settled()


def test_the_list_of_errors_is_closed() -> None:
    constants = {
        name: text
        for name, text in vars(panel_v2).items()
        if name.isupper() and isinstance(text, str) and not name.startswith("_")
    }
    for text in constants.values():
        assert is_listed(text), text
    assert {error.text for error in ERRORS if error.fixed} == set(constants.values())
    makers = [panel_v2.below_minimum(7), panel_v2.above_maximum(7)]
    makers += [panel_v2.incorrect(name) for name in NAMED_PARAMETERS]
    for text in makers:
        assert is_listed(text), text
        assert named("Error").is_valid({"error": text})
    for text in ("", "Incorrect", "Incorrect link", "Quantity less than minimal N", "Not found"):
        assert not is_listed(text)
        assert not named("Error").is_valid({"error": text})
    assert len({error.text for error in ERRORS}) == len(ERRORS)


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_needs_no_scripts() -> None:
    html, policy = docs_html()
    page = Page(html)
    assert page.open == []
    assert not page.tags & {"script", "img", "link", "iframe", "form", "object", "base"}
    names = {name for _, name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"style", "src"}
    targets = {value for _, name, value in page.attributes if name == "href"}
    ids = {f"#{value}" for _, name, value in page.attributes if name == "id"}
    assert targets <= ids | {"/api/v2/openapi.json"}
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"@import|url\((?!#)", style)


def test_the_page_tells_everything_that_the_tables_hold() -> None:
    html = re.sub(r"\s+", " ", docs_html()[0])
    for action in ACTIONS:
        assert f'<section id="{action.name}">' in html
    for kind in TYPES:
        assert f"<summary>{kind.name}</summary>" in html
        for parameter in kind.parameters:
            assert f"<code>{parameter.name}</code>" in html
            assert format_text(parameter) in html
    for parameter in ORDER_OPTIONS:
        assert f"<code>{parameter.name}</code>" in html
    for error in ERRORS:
        text = error.text.replace("<", "&lt;").replace(">", "&gt;")
        assert f"<code>{text}</code>" in html


def test_a_call_is_shown_as_a_shell_takes_it() -> None:
    shown = curl(
        "add", {"service": "1", "link": "https://a.example/?a=1&b='2'", "comments": "a\nb'"}
    )
    assert shown.split(" \\\n  ") == [
        'curl "$URL"',
        '-d "key=$KEY"',
        "-d action=add",
        "-d service=1",
        """--data-urlencode link='https://a.example/?a=1&b='"'"'2'"'"''""",
        r"--data-urlencode comments=$'a\nb\''",
    ]


async def test_both_documents_are_served(desk: Desk) -> None:
    page = await desk.ask(Request(method="GET", path="/docs", headers={}))
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.body.decode() == docs_html()[0]
    assert page.headers["Content-Security-Policy"] == docs_html()[1]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    document = await desk.ask(Request(method="GET", path="/api/v2/openapi.json", headers={}))
    assert (document.status, document.headers["Content-Type"]) == (200, "application/json")
    assert document.json() == DOCUMENT


@pytest.mark.parametrize("path", ["/docs", "/api/v2/openapi.json"])
async def test_documents_are_only_read(desk: Desk, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await desk.ask(Request("a=b", method=method, path=path))
        assert (answer.status, answer.body) == (404, b'{"error":"Incorrect request"}')


OPERATIONS = schemathesis.openapi.from_dict(DOCUMENT)["/api/v2"]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=OPERATIONS["POST"].as_strategy())
async def test_calls_made_from_the_document_are_answered_as_it_says(
    desk: Desk, case: schemathesis.Case[Any]
) -> None:
    if isinstance(case.body, dict):
        case.body["key"] = desk.customer.key
        if len(str(case.body.get("link", ""))) % 2:
            case.body["link"] = "https://a.example/p/1"
        if "service" in case.body:
            fitting = [kind for kind in TYPES if set(kind.example) <= set(case.body)]
            case.body["service"] = desk.names[type_name((fitting or TYPES)[-1].name)]
    before = await desk.facts()
    base = desk.gateway.url.removesuffix("/api/v2")
    response = await asyncio.to_thread(case.call, base_url=base)
    assert response.status_code in (200, 413), response.text
    answer = response.json()
    assert ANSWER.is_valid(answer), response.text
    if isinstance(answer, dict) and "error" in answer:
        assert is_listed(answer["error"])
        assert await desk.facts() == before
    await desk.settled()
