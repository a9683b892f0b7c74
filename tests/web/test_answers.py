"""The exact bytes of good answers: clients compare them as text, search them and match patterns."""

import re

import pytest

from schemas.services import SERVICE_TYPES
from tests.web.conftest import type_name, upstream_of
from tests.web.desk import Desk, Request, form

PENDING = b'{"charge":"0.09","start_count":"0","status":"Pending","remains":"100","currency":"USD"}'


def row(number: str, name: str, kind: str, rate: str, least: str, most: str) -> str:
    """One service as the answer to ``services`` spells it."""
    return (
        f'{{"service":{number},"name":"{name}","type":"{kind}","category":"Tests","rate":"{rate}",'
        f'"min":"{least}","max":"{most}","dripfeed":false,"refill":false,"cancel":false}}'
    )


async def test_services_is_an_array_of_what_is_sold(desk: Desk) -> None:
    names = desk.names
    rows = [
        row(names["DEFAULT"], "Default 101", "Default", "0.90", "50", "10000"),
        row(names["PACKAGE"], "Package 105", "Package", "0.90", "50", "10000"),
        row(names["COMMENTS"], "Custom Comments 141", "Custom Comments", "0.90", "2", "4"),
        row(names["DEAR"], "Default 103", "Default", "500000.00", "50", "10000"),
        row(names["TINY"], "Default 131", "Default", "0.0002", "1", "10000"),
    ]
    for kind in SERVICE_TYPES:
        number, upstream = names[type_name(kind)], upstream_of(kind)
        name, least = f"{kind} {upstream.number}", str(upstream.minimum)
        rows.append(row(number, name, kind, "0.90", least, "10000"))
    answer = await desk.call("services")
    assert answer.body.decode() == "[" + ",".join(rows) + "]"


async def test_add_answers_with_the_order_and_nothing_else(desk: Desk) -> None:
    answer = await desk.call("add", service="$DEFAULT", link="https://a.example/b", quantity="50")
    assert re.fullmatch(rb'\{"order":[1-9][0-9]{0,9}\}', answer.body)
    await desk.settled()


async def test_status_of_an_order_that_the_upstream_has_not_reported(desk: Desk) -> None:
    assert (await desk.call("status", order="$OWN")).body == PENDING


async def test_status_of_many_is_keyed_by_id_in_the_order_asked(desk: Desk) -> None:
    answer = await desk.call("status", orders="abc,$OWN,$FOREIGN")
    expected = '{"abc":{"error":"Incorrect order ID"},"$OWN":' + PENDING.decode()
    expected += ',"$FOREIGN":{"error":"Incorrect order ID"}}'
    assert answer.body.decode() == desk.fill(expected)


@pytest.mark.parametrize(
    ("funds", "shown"),
    [
        ("0", "0.00"),
        ("0.000001", "0.000001"),
        ("12.5", "12.50"),
        ("100.84292", "100.84292"),
        ("7.100000", "7.10"),
        ("1000000", "1000000.00"),
        ("999999999999.999999", "999999999999.999999"),
    ],
)
async def test_a_balance_has_two_to_six_decimals_and_no_exponent(
    desk: Desk, funds: str, shown: str
) -> None:
    reseller = await desk.world.reseller(f"has {funds}", funds=funds)
    answer = await desk.ask(Request(form({"key": reseller.key, "action": "balance"})))
    assert answer.body.decode() == f'{{"balance":"{shown}","currency":"USD"}}'


@pytest.mark.parametrize("action", ["services", "balance", "status"])
async def test_every_answer_is_plain_json_that_no_cache_keeps(desk: Desk, action: str) -> None:
    answer = await desk.call(action, order="$OWN")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not {"Location", "Set-Cookie", "Access-Control-Allow-Origin"} & set(answer.headers)
