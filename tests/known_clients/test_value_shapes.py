"""The shapes in which known clients write values: each means what its writer meant."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.known_clients.till import Till

LINK = "https://a.example/shapes"


@pytest.fixture
async def orders(till: Till) -> list[int]:
    """Three orders that the upstream has."""
    found = [
        (await till.form(action="add", service=till.services["101"], link=LINK, quantity=n))[
            "order"
        ]
        for n in (100, 101, 102)
    ]
    await till.placed(*found)
    return found


def bodies(ids: list[int]) -> dict[str, str]:
    """The ways to name several orders, as forms."""
    a, b, c = ids
    return {
        "comma list": f"orders={a},{b},{c}",
        "blanks and a trailing comma": f"orders={a}, {b} ,{c},",
        "duplicates": f"orders={a},{b},{a},{c},{b}",
        "repeated name": f"orders={a}&orders={b}&orders={c}",
        "numbered by PHP": f"orders[0]={a}&orders[1]={b}&orders[2]={c}",
        "bracketed": f"orders%5B%5D={a}&orders%5B%5D={b}&orders%5B%5D={c}",
        "list in the singular": f"order={a},{b},{c}",
        "lines": f"orders={a}%0A{b}%0D%0A{c}",
        "semicolons": f"orders={a};{b};{c}",
    }


@pytest.mark.parametrize("shape", bodies([1, 2, 3]))
async def test_several_ids_are_read_in_every_known_shape(
    till: Till, orders: list[int], shape: str
) -> None:
    body = bodies(orders)[shape]
    answer = await till.php(f"key={till.key}&action=status&{body}")
    assert list(answer) == [str(order) for order in orders]
    assert all(set(row) == STATUS_KEYS for row in answer.values())


STATUS_KEYS = {"charge", "start_count", "status", "remains", "currency"}


@pytest.mark.parametrize(
    "ids", [lambda o: o, lambda o: [str(n) for n in o], lambda o: f"{o[0]},{o[1]},{o[2]}"]
)
async def test_several_ids_are_read_from_json(till: Till, orders: list[int], ids: Any) -> None:
    answer = await till.post_json({"key": till.key, "action": "status", "orders": ids(orders)})
    assert list(answer) == [str(order) for order in orders]


@pytest.mark.parametrize(
    "action", ["orders", "statuses", "multi_status", "multi-status", "multiStatus"]
)
async def test_the_other_names_of_multi_status(till: Till, orders: list[int], action: str) -> None:
    answer = await till.form(action=action, orders=",".join(map(str, orders)))
    assert list(answer) == [str(order) for order in orders]


@pytest.mark.parametrize(
    ("orders", "answer"),
    [
        ("Array", {"Array": {"error": "Incorrect order ID"}}),
        ("undefined", {"undefined": {"error": "Incorrect order ID"}}),
    ],
)
async def test_words_that_broken_scripts_send_as_ids_are_error_rows(
    till: Till, orders: str, answer: object
) -> None:
    assert await till.form(action="status", orders=orders) == answer


async def test_the_empty_id_of_a_failed_order_is_an_error_that_scripts_know(till: Till) -> None:
    assert await till.form(action="status", order="") == {"error": "Incorrect order ID"}


@pytest.mark.parametrize("nothing", ["", "undefined", "null", "NaN", "none", " "])
async def test_optional_parameters_that_say_nothing_are_absent(till: Till, nothing: str) -> None:
    answer = await till.form(
        action="add",
        service=till.services["101"],
        link=f"{LINK}/{quote(nothing)}",
        quantity=100,
        runs=nothing,
        interval=nothing,
        expiry=nothing,
        posts=nothing,
    )
    assert set(answer) == {"order"}


@pytest.mark.parametrize("quantity", ["150", " 150 ", "150.0", 150, 150.0])
async def test_a_quantity_is_read_however_a_language_writes_it(
    till: Till, quantity: object
) -> None:
    call = {"key": till.key, "action": "add", "service": till.services["101"], "link": LINK}
    answer = await till.post_json(call | {"quantity": quantity})
    status = await till.form(action="status", order=answer["order"])
    assert status["remains"] == "150"


@pytest.mark.parametrize(
    "text",
    [
        "one\r\ntwo\r\nthree",
        "one\ntwo\nthree",
        "one\rtwo\rthree",
        "one\\ntwo\\nthree",
        "\none\n\n two \nthree\n",
    ],
)
async def test_comments_are_lines_whatever_ends_a_line(till: Till, text: str) -> None:
    answer = await till.form(
        action="add", service=till.services["141"], link=f"{LINK}/c", comments=text
    )
    await till.placed(answer["order"])
    assert (await till.form(action="status", order=answer["order"]))["remains"] == "3"
    assert till.sent_upstream(f"{LINK}/c")[-1]["comments"].splitlines() == ["one", "two", "three"]


async def test_comments_in_a_json_array_are_lines(till: Till) -> None:
    call = {"key": till.key, "action": "add", "service": till.services["141"], "link": f"{LINK}/j"}
    lines = ["nice, really", "wow 🔥", "&quot;hm&quot;"]
    answer = await till.post_json(call | {"comments": lines})
    await till.placed(answer["order"])
    assert till.sent_upstream(f"{LINK}/j")[-1]["comments"].split("\n") == lines


async def test_a_link_that_is_not_escaped_loses_what_follows_its_first_ampersand(
    till: Till,
) -> None:
    """A client that builds its query by hand sends the rest as parameters that nobody knows."""
    answer = await till.get(
        f"key={till.key}&action=add&service={till.services['101']}&quantity=100"
        "&link=https://a.example/watch?v=1&list=2&index=3"
    )
    await till.placed(answer["order"])
    assert len(till.sent_upstream("https://a.example/watch?v=1")) == 1


async def test_a_bare_user_name_is_a_link(till: Till) -> None:
    answer = await till.form(
        action="add", service=till.services["101"], link="@some.body", quantity=100
    )
    assert set(answer) == {"order"}


async def test_a_call_without_an_action_is_refused_in_the_words_that_clients_compare(
    till: Till,
) -> None:
    text = await till.send("POST", body=urlencode({"key": till.key, "order": 1}))
    assert text == '{"error":"Incorrect request"}'
    assert json.loads(text) == {"error": "Incorrect request"}
