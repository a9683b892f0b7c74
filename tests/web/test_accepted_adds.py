"""Orders that clients spell in odd but known ways: taken, priced by us, sent on as they were meant.

Each test buys through the gateway and reads what reached the upstream.
"""

from typing import Any

import pytest

from tests.web.desk import JSON, Answer, Desk, Request, form
from tests.world import Customer

LINK = "https://a.example/p/2"
LINES = '"comments":["one","two"]'


async def buy(desk: Desk, request: Request) -> tuple[dict[str, Any], int]:
    """What reached the upstream for this order, and what it cost; both exactly once."""
    before, known = await desk.facts(), len(desk.sandbox.accepted())
    answer = await desk.ask(request)
    assert set(answer.json()) == {"order"}, answer.body
    await desk.settled()
    after = await desk.facts()
    assert (after.orders, after.entries, after.attempts, after.upstream) == (
        before.orders + 1,
        before.entries + 1,
        before.attempts + 1,
        before.upstream + 1,
    )
    [accepted] = desk.sandbox.accepted()[known:]
    return accepted, before.money - after.money


def add(**changed: str) -> Request:
    """An order of 100 of the Default service, but for these parameters."""
    fields = {"key": "$KEY", "action": "add", "service": "$DEFAULT", "link": LINK}
    return Request(form(fields | {"quantity": "100"} | changed))


def add_json(rest: str, service: str = "$DEFAULT") -> Request:
    """An order in JSON; ``rest`` are its last members."""
    start = f'{{"key":"$KEY","action":"add","service":{service},"link":"{LINK}",'
    return Request(start + rest + "}", headers=JSON)


@pytest.mark.parametrize(
    ("request_", "quantity"),
    [
        (add(quantity="50"), 50),
        (add(quantity="10000"), 10_000),
        (add(quantity=" 100 "), 100),
        (add(quantity="100.0"), 100),
        (add(quantity="100", service=" $DEFAULT "), 100),
        (add(action="create"), 100),
        (add(action=" ADD "), 100),
        (add_json('"quantity":100'), 100),
        (add_json('"quantity":"100"', service='"$DEFAULT"'), 100),
        (add_json('"quantity":100.0'), 100),
        (add(runs="undefined", interval="null", expiry="", posts="NaN"), 100),
    ],
)
async def test_a_quantity_is_read_as_clients_write_it(
    desk: Desk, request_: Request, quantity: int
) -> None:
    accepted, paid = await buy(desk, request_)
    assert (accepted["quantity"], accepted["link"]) == (quantity, LINK)
    assert paid == 900 * quantity


@pytest.mark.parametrize(
    "link",
    [
        "https://a.example/?a=1&quantity=9999&action=cancel&key=x#part",
        "https://a.example/%26quantity=1%3Dx+y",
        "https://xn--dmin-moa0i.example/ığüşöçİ/🎈",
        "https://ığüşöç.example/",
        "some.user_name",
        "@some_user",
        "a.example:8080/path",
        "HTTPS://A.EXAMPLE/Ä?q=\"'<b>",
        "http://169.254.169.254/latest/meta-data",
        "https://a.example/\u0101\u0304",  # not normalised to one character
    ],
)
async def test_a_link_reaches_the_upstream_as_it_was_written(desk: Desk, link: str) -> None:
    await buy(desk, add(link=link))
    [*_, received] = desk.sandbox.received()
    assert received["parameters"] == {
        "action": "add",
        "service": "101",
        "link": link,
        "quantity": "100",
    }


@pytest.mark.parametrize(
    ("comments", "lines"),
    [
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("one\rtwo\rthree", ["one", "two", "three"]),
        ("\n one \n\n\n two\n", ["one", "two"]),
        ("one\\ntwo", ["one", "two"]),
        ("one\\n\ntwo", ["one\\n", "two"]),
        ("one, two; three\nfour\u2028five", ["one, two; three", "four\u2028five"]),
        ("Ğüzel! 👍🏽\n&amp; <b>\n=1+1", ["Ğüzel! 👍🏽", "&amp; <b>", "=1+1"]),
    ],
)
async def test_comments_are_split_into_lines_and_counted(
    desk: Desk, comments: str, lines: list[str]
) -> None:
    """A quantity beside them says nothing."""
    accepted, paid = await buy(desk, add(service="$COMMENTS", comments=comments, quantity="999"))
    [*_, received] = desk.sandbox.received()
    assert received["parameters"]["comments"] == "\n".join(lines)
    assert accepted["quantity"] == len(lines)
    assert paid == 900 * len(lines)


@pytest.mark.parametrize(
    "request_",
    [
        add_json(LINES, service="$COMMENTS"),
        add_json('"comments[]":["one","two"]', service="$COMMENTS"),
        add_json('"comments":"one\\ntwo"', service="$COMMENTS"),
        Request(f"key=$KEY&action=add&service=$COMMENTS&link={LINK}&comments[]=one&comments[]=two"),
    ],
)
async def test_comments_may_come_one_by_one(desk: Desk, request_: Request) -> None:
    accepted, paid = await buy(desk, request_)
    assert (accepted["quantity"], paid) == (2, 1800)


async def test_a_package_is_one_whatever_quantity_is_sent(desk: Desk) -> None:
    for quantity in ("999", "abc", "-5"):
        accepted, paid = await buy(desk, add(service="$PACKAGE", quantity=quantity))
        assert (accepted["quantity"], paid) == (1, 900_000)


@pytest.mark.parametrize(
    "extra",
    [
        *({"price": "0.01"}, {"charge": "0"}, {"rate": "0"}, {"user_id": "2"}, {"discount": "100"}),
        *({"status": "Completed"}, {"currency": "TRY"}, {"balance": "1e9"}, {"reseller_id": "2"}),
        *({"runs": "0"}, {"id": "1"}, {"order": "$OWN"}, {"comments": "x"}, {"_method": "PUT"}),
    ],
)
async def test_what_clients_say_about_money_is_ignored(desk: Desk, extra: dict[str, str]) -> None:
    accepted, paid = await buy(desk, add(**extra))
    assert (accepted["quantity"], paid) == (100, 90_000)


async def test_the_smallest_order_costs_one_unit_and_not_nothing(desk: Desk) -> None:
    before = await desk.world.balance(desk.customer)
    answer = await desk.ask(add(service="$TINY", quantity="1"))
    assert answer.status == 200
    assert await desk.world.balance(desk.customer) == before - 1
    status = await desk.call("status", order=str(answer.json()["order"]))
    assert status.json()["charge"] == "0.000001"
    await desk.settled()


async def _buy_for(desk: Desk, buyer: Customer, quantity: str) -> Answer:
    return await desk.ask(add(key=buyer.key, quantity=quantity))


async def test_the_last_unit_can_be_spent_and_no_more(desk: Desk) -> None:
    poor = await desk.world.reseller("has one too few", funds="0.089999")
    exact = await desk.world.reseller("has just enough", funds="0.09")
    await desk.assert_refused(add(key=poor.key), "Not enough funds on balance")
    assert set((await _buy_for(desk, exact, "100")).json()) == {"order"}
    await desk.settled()
    balance = await desk.ask(Request(form({"key": exact.key, "action": "balance"})))
    assert balance.json() == {"balance": "0.00", "currency": "USD"}
    await desk.assert_refused(add(key=exact.key, quantity="50"), "Not enough funds on balance")


async def test_a_reseller_in_debt_sees_it_and_cannot_buy(desk: Desk) -> None:
    debtor = await desk.world.reseller("in debt", funds="0.05")
    await desk.pool.execute("update balance set floor = -100000 where reseller_id = $1", debtor.id)
    assert set((await _buy_for(desk, debtor, "100")).json()) == {"order"}
    await desk.settled()
    await desk.pool.execute("update balance set floor = 0 where reseller_id = $1", debtor.id)
    balance = await desk.ask(Request(form({"key": debtor.key, "action": "balance"})))
    assert balance.json() == {"balance": "-0.04", "currency": "USD"}
    await desk.assert_refused(add(key=debtor.key, quantity="50"), "Not enough funds on balance")
