"""Ids of ``status``: every spelling that clients use is read, and nobody's orders but one's own."""

import json
from typing import Any

import pytest

from tests.web.desk import JSON, Desk, Request, form

BAD_ORDER, BAD_REQUEST = "Incorrect order ID", "Incorrect request"
WRONG = {"error": BAD_ORDER}
PENDING = {
    "charge": "0.09",
    "start_count": "0",
    "status": "Pending",
    "remains": "100",
    "currency": "USD",
}


def status(fields: str, query: str = "") -> Request:
    """A status call; ``fields`` is part of a form body."""
    return Request("key=$KEY&action=status" + (f"&{fields}" if fields else ""), query=query)


ROWS = {
    "Q01 no ids": (status(""), BAD_REQUEST),
    **{
        f"Q02 order={text}": (status(form({"order": text})), BAD_ORDER)
        for text in [
            "0",
            "-1",
            "abc",
            "1.5",
            "$OWN.0",
            "0$OWN",
            "\uff11",
            "1" + "0" * 20,
            "",
            " ",
            "1e0",
        ]
    },
    "Q02 order of an object": (
        Request('{"key":"$KEY","action":"status","order":{"a":$OWN}}', headers=JSON),
        BAD_ORDER,
    ),
    "Q03 another's order": (status("order=$FOREIGN"), BAD_ORDER),
    "Q03 no order of anybody": (status("order=2147483647"), BAD_ORDER),
    "Q05 orders empty": (status("orders="), BAD_ORDER),
    "Q05 orders of commas": (status("orders=,%20,;"), BAD_ORDER),
    "Q05 orders an empty array": (
        Request('{"key":"$KEY","action":"status","orders":[]}', headers=JSON),
        BAD_ORDER,
    ),
    "Q06 101 ids": (status("orders=" + ",".join(map(str, range(1, 102)))), BAD_REQUEST),
    "Q06 101 ids through both": (
        status("order=101&orders=" + ",".join(map(str, range(1, 101)))),
        BAD_REQUEST,
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_question_without_a_good_id_is_refused(desk: Desk, name: str) -> None:
    request, text = ROWS[name]
    await desk.assert_refused(request, text)


READ = {
    "comma": (status("orders=$OWN,$FOREIGN"), ["$OWN", "$FOREIGN"]),
    "Q04 both names": (status("order=$OWN&orders=$FOREIGN"), ["$OWN", "$FOREIGN"]),
    "both names, same id": (status("order=$OWN&orders=$OWN"), ["$OWN"]),
    "one through the plural": (status("orders=$OWN"), ["$OWN"]),
    "several through the singular": (status("order=$FOREIGN,$OWN"), ["$FOREIGN", "$OWN"]),
    "Q07 a word among them": (status("orders=$OWN,abc,2x"), ["$OWN", "abc", "2x"]),
    "Q08 repeated": (status("orders=$OWN,$OWN,$OWN"), ["$OWN"]),
    "Q08 repeated in other places": (status("orders=900007,$OWN,900007"), ["900007", "$OWN"]),
    "Q09 blanks and semicolons": (
        status(form({"orders": "$OWN; $FOREIGN \n900000,;"})),
        ["$OWN", "$FOREIGN", "900000"],
    ),
    "Q09 repeated parameter": (status("orders=$OWN&orders=$FOREIGN"), ["$OWN", "$FOREIGN"]),
    "Q09 empty brackets": (status("orders[]=$OWN&orders[]=$FOREIGN"), ["$OWN", "$FOREIGN"]),
    "Q09 escaped brackets": (status("orders%5B%5D=$OWN"), ["$OWN"]),
    "Q09 numbered brackets": (status("orders[0]=$OWN&orders[1]=$FOREIGN"), ["$OWN", "$FOREIGN"]),
    "brackets on the singular": (status("order[]=$OWN&order[]=900007"), ["$OWN", "900007"]),
    "Q09 JSON array": (
        Request('{"key":"$KEY","action":"status","orders":[$OWN,"$FOREIGN",null]}', headers=JSON),
        ["$OWN", "$FOREIGN"],
    ),
    "JSON array named with brackets": (
        Request('{"key":"$KEY","action":"status","orders[]":[$OWN]}', headers=JSON),
        ["$OWN"],
    ),
    "JSON number": (
        Request('{"key":"$KEY","action":"status","orders":$OWN}', headers=JSON),
        ["$OWN"],
    ),
    "SQL": (status(form({"order": "$OWN or 1=1"})), ["$OWN", "or", "1=1"]),
    "quotes": (status(form({"orders": '$OWN,"}]'})), ["$OWN", '"}]']),
    "the word Array": (status("orders=Array"), ["Array"]),
    "alias orders": (
        Request("key=$KEY&action=orders&orders=$OWN"),
        ["$OWN"],
    ),
    **{
        f"alias {name}": (Request(f"key=$KEY&action={name}&orders=$OWN"), ["$OWN"])
        for name in ["statuses", "multi_status", "multi-status", "MultiStatus"]
    },
    "Q06 a hundred": (
        status("orders=$OWN," + ",".join(map(str, range(900_500, 900_599)))),
        ["$OWN", *map(str, range(900_500, 900_599))],
    ),
}


@pytest.mark.parametrize("name", READ)
async def test_ids_are_read_in_every_spelling_and_answered_by_their_own_text(
    desk: Desk, name: str
) -> None:
    """In the order asked, each once; others' orders and words are error rows."""
    request, asked = READ[name]
    answer = await desk.ask(request)
    own = desk.names["OWN"]
    expected: list[tuple[str, Any]] = [
        (token, PENDING if token == own else WRONG) for token in map(desk.fill, asked)
    ]
    assert json.loads(answer.body, object_pairs_hook=lambda pairs: pairs) == [
        (token, list(row.items())) for token, row in expected
    ]
    assert b" " not in answer.body.replace(b"Incorrect order ID", b"")


@pytest.mark.parametrize(
    "request_",
    [
        status("order=$OWN"),
        status(form({"order": " $OWN "})),
        status("order[]=$OWN"),
        status("order=$OWN&order=$OWN"),
        status("order=$OWN,"),
        status("", query="order=$OWN"),
    ],
)
async def test_one_id_through_the_singular_gets_the_single_shape(
    desk: Desk, request_: Request
) -> None:
    assert (await desk.ask(request_)).json() == PENDING


async def test_each_reseller_sees_its_own_order_and_not_the_others(desk: Desk) -> None:
    for key, own, foreign in (("$KEY", "$OWN", "$FOREIGN"), ("$RIVAL_KEY", "$FOREIGN", "$OWN")):
        fields = {"key": key, "action": "status", "orders": f"{own},{foreign}"}
        found = (await desk.ask(Request(form(fields)))).json()
        assert found == {desk.fill(own): PENDING, desk.fill(foreign): WRONG}
