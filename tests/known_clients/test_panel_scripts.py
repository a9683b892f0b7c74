"""Panel scripts and bots, replayed: their sync and cron patterns, and the checks that they make.

A script sees an order as failed, and often sends it again, when an answer is not as it expects. So
each check here is one that a known client makes, with what it would do wrong if we answered
otherwise.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.known_clients.till import Till

STATUS = {"charge", "start_count", "status", "remains", "currency"}
LINK = "https://a.example/scripts"


async def test_smartpanel_imports_orders_and_follows_in_singles_and_batches(till: Till) -> None:
    """Its sync reads the whole list; its cron posts forms and asks for one or a hundred."""
    listed = await till.form(action="services")
    assert isinstance(listed, list)
    for row in listed:
        assert {"service", "name", "type", "category", "rate", "min", "max"} <= set(row)
        assert re.fullmatch(r"\d+\.\d{2,5}", row["rate"])
        assert row["min"].isdigit()
        assert row["max"].isdigit()
    balance = await till.form(action="balance")
    assert set(balance) == {"balance", "currency"}

    placed: dict[str, int] = {}
    for name, upstream, fields in (
        ("default", "101", {"link": f"{LINK}/1", "quantity": 100}),
        ("comments", "141", {"link": f"{LINK}/2", "comments": "one\r\ntwo\r\nthree"}),
        ("package", "105", {"link": f"{LINK}/3"}),
        ("mentions", "144", {"link": f"{LINK}/4", "usernames": "a\nb\nc\nd\ne"}),
        ("poll", "403", {"link": f"{LINK}/5", "quantity": 20, "answer_number": 2}),
    ):
        answer = await till.form(action="add", service=till.services[upstream], **fields)
        # It stores the number in int(11), and takes any other key for a failure.
        assert isinstance(answer["order"], int)
        assert 0 < answer["order"] < 2**31
        placed[name] = answer["order"]
    await till.placed(*placed.values())
    for order in placed.values():
        answer = await till.form(action="status", order=order)
        assert "error" not in answer
        assert answer["status"] in {"Pending", "Processing", "In progress"}
        assert answer["start_count"].isdigit()
        assert answer["remains"].isdigit()
    await till.ended(*placed.values())
    ids = ",".join(map(str, placed.values()))
    answer = await till.form(action="status", orders=ids)
    for order in placed.values():
        row = answer[str(order)]
        assert row["status"] in {"Completed", "Partial", "Canceled"}


async def test_smartpanel_sends_empty_and_zero_fields_of_a_subscription(till: Till) -> None:
    """Its own "unlimited" is posts=0: that is not sold, and says so instead of guessing."""
    fields = {"username": "someone", "min": 20, "max": 30, "delay": 0, "expiry": ""}
    subscription = {"action": "add", "service": till.services["123"]} | fields
    refused = await till.form(**subscription, posts=0)
    assert refused == {"error": "Incorrect posts"}
    taken = await till.form(**subscription, posts=3)
    assert set(taken) == {"order"}


async def test_smartpanel_drips_and_reads_the_parent_like_an_order(till: Till) -> None:
    """Without ``runs`` in the answer it takes all runs for done on Completed, none before."""
    answer = await till.form(
        action="add",
        service=till.services["101"],
        link=f"{LINK}/drip",
        quantity=50,
        runs=2,
        interval=10,
    )
    status = await till.form(action="status", order=answer["order"])
    assert set(status) == STATUS
    assert status["remains"] == "100"
    refused = await till.form(
        action="add", service=till.services["101"], link=f"{LINK}/drip", quantity=50, runs=2
    )
    assert refused == {"error": "Incorrect request"}


async def test_rentalpanel_polls_one_by_one_and_buys_catalogue_and_balance_in_every_run(
    till: Till,
) -> None:
    """Its sync stops where element 0 of the list has no ``service``; it compares rates as text."""
    first = await till.form(action="services")
    assert "service" in first[0]
    order = (
        await till.form(
            action="add", service=till.services["103"], link=f"{LINK}/own", quantity=100
        )
    )["order"]
    await till.placed(order)
    status, balance = (
        await till.form(action="status", order=order),
        await till.form(action="balance"),
    )
    # It stores what follows an add: the charge, the currency, the counters.
    assert set(status) == STATUS
    assert float(status["charge"]) > 0
    assert balance["currency"] == status["currency"]
    word = status["status"].lower().replace(" ", "")
    assert word in {"pending", "processing", "inprogress", "completed", "partial", "canceled"}
    # A failed add leaves an empty id, which it goes on asking for.
    assert "error" in await till.form(action="status", order="")
    for _ in range(3):
        again = await till.form(action="services")
        assert [row["rate"] for row in again] == [row["rate"] for row in first]


async def test_rentalpanel_cancels_by_the_singular_and_wants_an_id_or_a_word(till: Till) -> None:
    order = await _cancellable(till, "rental")
    answer = await till.form(action="cancel", order=order)
    assert answer["id"] or answer["status"] == "Success"


async def test_the_strict_reseller_panel_sends_again_whatever_has_a_key_too_many(
    till: Till,
) -> None:
    """It compares answers with stored templates, key by key, and re-sends the order otherwise."""
    answer = await till.form(
        action="add", service=till.services["101"], link=f"{LINK}/strict", quantity=100
    )
    assert list(answer) == ["order"]
    status = await till.form(action="status", order=answer["order"])
    assert set(status) == STATUS
    assert set(await till.form(action="balance")) == {"balance", "currency"}


async def test_the_shop_bot_orders_with_get_and_reads_digits(till: Till) -> None:
    """It wants ``str(order).isdigit()``, a point in the balance, and words as they are spelt."""
    query = urlencode(
        {
            "key": till.key,
            "action": "add",
            "service": till.services["103"],
            "link": f"{LINK}/shop?sandbox=partial:40",
            "quantity": 100,
        }
    )
    order = (await till.get(query))["order"]
    assert str(order).isdigit()
    assert re.search(r"\d+\.\d+", str(await till.get(f"key={till.key}&action=balance")))
    await till.ended(order)
    status = await till.get(f"key={till.key}&action=status&order={order}")
    assert status["status"] == "Partial"
    remains = int(status["remains"])
    assert 0 < remains < 100
    # It orders the rest at once, for the same service and link.
    again = await till.get(query)
    assert again["order"] != order
    cancelled = await till.get(f"key={till.key}&action=cancel&order={again['order']}")
    assert "cancel" in cancelled


async def test_the_retrying_reseller_sends_three_times_back_to_back(till: Till) -> None:
    """Each of its attempts is answered, so each is an order: only lost answers are repeated."""
    fields: Mapping[str, Any] = {"service": till.services["101"], "link": f"{LINK}/three"}
    answers = [await till.form(action="add", **fields, quantity=100) for _ in range(3)]
    assert len({answer["order"] for answer in answers}) == 3
    for answer in answers:
        status = await till.form(action="status", order=answer["order"])
        assert isinstance(int(status["start_count"]), int)
        assert isinstance(int(status["remains"]), int)


async def test_the_chat_bot_compares_service_numbers_as_numbers(till: Till) -> None:
    """It finds its service by ``==`` with a number, and a cancel by the word ``success``."""
    wanted = till.services["101"]
    listed = await till.get(f"key={till.key}&action=services")
    assert any(row["service"] == wanted for row in listed)
    order = await _cancellable(till, "chat")
    answer = await till.get(f"key={till.key}&action=cancel&order={order}")
    assert answer["status"] == "success"
    assert answer["success"]
    assert answer["ok"] == "true"
    assert answer["cancel"] == 1


async def test_the_typed_client_speaks_json_and_always_cancels_in_the_plural(till: Till) -> None:
    order = await _cancellable(till, "typed")
    call = {"key": till.key, "action": "cancel", "orders": [order, 1_000_000]}
    assert await till.post_json(call) == [
        {"order": order, "cancel": 1},
        {"order": 1_000_000, "cancel": {"error": "Incorrect order ID"}},
    ]
    one = await _cancellable(till, "typed-one")
    call = {"key": till.key, "action": "cancel", "orders": str(one)}
    assert await till.post_json(call) == [{"order": one, "cancel": 1}]


async def test_the_next_panel_asks_for_one_order_in_the_plural(till: Till) -> None:
    """And reads ``response[str(id)]``, with the very text that it sent."""
    order = await _cancellable(till, "plural")
    answer = await till.form(action="status", orders=f" {order} ")
    assert set(answer) == {str(order)}


async def test_refills_are_asked_for_and_followed_as_the_known_clients_do(till: Till) -> None:
    """Singular ids are text, plural ones numbers; one client names the refill ``order``."""
    orders = [
        (
            await till.form(
                action="add", service=till.services["101"], link=f"{LINK}/refill/{n}", quantity=100
            )
        )["order"]
        for n in range(3)
    ]
    await till.ended(*orders)
    single = await till.form(action="refill", order=orders[0])
    assert set(single) == {"refill"}
    assert isinstance(single["refill"], str)
    assert single["refill"].isdigit()
    several = await till.form(action="refill", orders=f"{orders[1]},{orders[2]},1000000")
    assert [row["order"] for row in several] == [orders[1], orders[2], 1_000_000]
    assert isinstance(several[0]["refill"], int)
    assert several[2]["refill"] == {"error": "Incorrect order ID"}
    words = {"Pending", "In progress", "Completed", "Rejected", "Error"}
    first = await till.form(action="refill_status", refill=single["refill"])
    assert first["status"] in words
    misnamed = await till.form(action="refill_status", order=single["refill"])
    assert misnamed["status"] in words
    ids = f"{several[0]['refill']},{several[1]['refill']},1000000"
    rows = await till.form(action="refill_status", refills=ids)
    assert [row["refill"] for row in rows] == [
        several[0]["refill"],
        several[1]["refill"],
        1_000_000,
    ]
    assert rows[2]["status"] == {"error": "Refill not found"}
    assert all(row["status"] in words for row in rows[:2])


async def test_the_body_searcher_finds_its_words_in_the_bytes(till: Till) -> None:
    """It looks for ``{"order":`` in the text, and compares refusals as whole bodies."""
    call = {"key": till.key, "action": "add", "service": till.services["101"], "quantity": 100}
    text = await till.send("POST", body=urlencode(call | {"link": f"{LINK}/body"}))
    assert text.startswith('{"order":')
    assert json.dumps(json.loads(text), separators=(",", ":")) == text
    text = await till.send("POST", body=urlencode({"key": till.key}))
    assert text == '{"error":"Incorrect request"}'


async def test_a_poller_that_never_stops_gets_the_same_end_for_ever(till: Till) -> None:
    order = (
        await till.form(
            action="add", service=till.services["103"], link=f"{LINK}/ends", quantity=100
        )
    )["order"]
    await till.ended(order)
    answers = [await till.form(action="status", order=order) for _ in range(5)]
    assert answers[0]["status"] == "Completed"
    assert all(answer == answers[0] for answer in answers)


async def _cancellable(till: Till, name: str) -> int:
    """An order that the upstream has, and would cancel."""
    answer = await till.form(
        action="add", service=till.services["103"], link=f"{LINK}/{name}", quantity=100
    )
    order: int = answer["order"]
    await till.placed(order)
    return order
