"""The panel API over HTTP: the reference's shapes, texts and sums."""

import json

from providers.sandbox.catalogue import CATALOGUE
from tests.sandbox.conftest import Launch, RunningPanel


async def test_services_are_a_list_in_the_references_shape(panel: RunningPanel) -> None:
    rows = await panel.call("services")
    assert len(rows) == len(CATALOGUE)
    assert rows[0] == {
        "service": 101,
        "name": "Instagram Followers, calm pace, 30 days kept",
        "type": "Default",
        "rate": "0.84",
        "min": "10",
        "max": "100000",
        "dripfeed": True,
        "refill": True,
        "cancel": True,
        "category": "Instagram Followers",
    }


async def test_an_answer_is_compact_json(panel: RunningPanel) -> None:
    wire = await panel.raw(link="https://example.com/p/1")
    assert (wire.status, wire.end) == (200, "eof")
    assert "content-type: application/json" in wire.head
    assert wire.body == b'{"order":23501}'


async def test_form_json_and_query_are_read_alike(panel: RunningPanel) -> None:
    order = {
        "key": panel.address.key,
        "action": "add",
        "service": "101",
        "link": "https://example.com/p/1",
        "quantity": "50",
    }
    session, url = panel.session, panel.address.url
    async with session.get(url + "/", params=order) as answer:
        assert json.loads(await answer.read()) == {"order": 23501}
    async with session.post(url, params=order) as answer:
        assert json.loads(await answer.read()) == {"order": 23502}
    # A JSON body is one whatever the type says.
    body = json.dumps(order | {"quantity": 50}).encode()
    async with session.post(url, data=body, headers={"Content-Type": "text/plain"}) as answer:
        assert json.loads(await answer.read()) == {"order": 23503}
    assert [line["quantity"] for line in panel.accepted()] == [50, 50, 50]
    async with session.post(url, data=b"{broken") as answer:
        assert json.loads(await answer.read()) == {"error": "Incorrect request"}


async def test_wrong_key_and_unknown_action(panel: RunningPanel) -> None:
    assert await panel.call("balance", key="nobody") == {"error": "Invalid API key"}
    assert await panel.call("fly") == {"error": "Incorrect request"}
    assert await panel.add(key="nobody") == {"error": "Invalid API key"}
    # It was read, and the key is not kept.
    (read,) = panel.received()
    assert read["parameters"]["service"] == "101"
    assert "key" not in read["parameters"]
    assert panel.accepted() == []


async def test_status_single_and_several(panel: RunningPanel) -> None:
    await panel.add()
    pending = {
        "charge": "0.84",
        "start_count": "0",
        "status": "Pending",
        "remains": "1000",
        "currency": "USD",
    }
    assert await panel.call("status", order=23501) == pending
    assert await panel.call("status", order=9) == {"error": "Incorrect order ID"}
    assert await panel.call("status", orders="23501, 9,x,") == {
        "23501": pending,
        "9": {"error": "Incorrect order ID"},
        "x": {"error": "Incorrect order ID"},
    }
    hundred = ",".join(str(number) for number in range(1, 101))
    assert len(await panel.call("status", orders=hundred)) == 100
    assert await panel.call("status", orders=hundred + ",101") == {"error": "Incorrect request"}
    assert await panel.call("status", orders="") == {"error": "Incorrect request"}


async def test_an_order_completes(panel: RunningPanel) -> None:
    await panel.add()
    words = []
    for work in (0.12, 0.3, 1):
        await panel.control("advance", {"work": work})
        words.append((await panel.call("status", order=23501))["status"])
    assert words == ["Processing", "In progress", "Completed"]
    done = await panel.call("status", order=23501)
    assert (done["remains"], done["charge"]) == ("0", "0.84")
    assert done["start_count"].isdigit()


async def test_orders_complete_by_themselves_at_speed(launch: Launch) -> None:
    panel = await launch(seconds=0.000001)
    await panel.add()
    assert (await panel.call("status", order=23501))["status"] == "Completed"


async def test_the_balance_is_exact_through_charges_and_refunds(panel: RunningPanel) -> None:
    assert await panel.balance() == "1000.00"
    await panel.add(link="https://example.com/p?sandbox=partial:30", quantity=333)
    await panel.add(link="https://example.com/p?sandbox=cancel")
    await panel.add()
    # 0.27972 + 0.84 + 0.84
    assert await panel.balance() == "998.04028"
    await panel.control("advance", {"work": 1})
    # 99 of 333 undelivered: 0.27972 * 99 // 333 is 0.08316; the canceled order returns whole.
    assert await panel.balance() == "998.96344"
    partial = await panel.call("status", order=23501)
    assert (partial["status"], partial["remains"], partial["charge"]) == (
        "Partial",
        "99",
        "0.19656",
    )
    canceled = await panel.call("status", order=23502)
    assert (canceled["status"], canceled["remains"], canceled["charge"]) == (
        "Canceled",
        "1000",
        "0.00",
    )


async def test_no_order_without_money(launch: Launch) -> None:
    panel = await launch(balance=1_680_000)
    assert await panel.add() == {"order": 23501}
    assert await panel.add() == {"order": 23502}
    assert await panel.add(quantity=10) == {"error": "Not enough funds on balance"}
    assert await panel.balance() == "0.00"
    assert len(panel.accepted()) == 2


async def test_refill(panel: RunningPanel) -> None:
    await panel.add()
    await panel.add(service=103)
    assert await panel.call("refill", order=23501) == {"error": "The order is not completed"}
    await panel.control("advance", {"work": 1})
    assert await panel.call("refill", order=23501) == {"refill": "1"}
    assert await panel.call("refill", orders="23501,23502,9") == [
        {"order": 23501, "refill": {"error": "The refill task is not completed for this order"}},
        {"order": 23502, "refill": {"error": "Refill is disabled for this service"}},
        {"order": 9, "refill": {"error": "Incorrect order ID"}},
    ]
    assert await panel.call("refill_status", refill=1) == {"status": "Pending"}
    await panel.control("advance", {"work": 1})
    assert await panel.call("refill_status", refills="1,7") == [
        {"refill": 1, "status": "Completed"},
        {"refill": 7, "status": {"error": "Refill not found"}},
    ]
    assert await panel.call("refill_status", refill=7) == {"error": "Refill not found"}
    assert await panel.call("refill", order=23501) == {"refill": "2"}


async def test_cancel(panel: RunningPanel) -> None:
    await panel.add()
    await panel.add(service=122)
    assert await panel.call("cancel", orders="23501,23502,9") == [
        {"order": 23501, "cancel": 1},
        {"order": 23502, "cancel": {"error": "This order cannot be canceled"}},
        {"order": 9, "cancel": {"error": "Incorrect order ID"}},
    ]
    assert await panel.call("cancel", order=23501) == {"error": "Incorrect request"}
    assert (await panel.call("status", order=23501))["status"] == "Canceled"
    # 0.0985 is kept for the order that cannot be canceled.
    assert await panel.balance() == "999.9015"


async def test_cancel_of_a_running_order_is_partial(panel: RunningPanel) -> None:
    await panel.add()
    await panel.control("advance", {"work": 0.7})
    await panel.call("cancel", orders=23501)
    row = await panel.call("status", order=23501)
    assert row["status"] == "Partial"
    assert 0 < int(row["remains"]) < 1000
    await panel.control("advance", {"work": 1})
    assert await panel.call("status", order=23501) == row


async def test_a_subscription_has_its_own_shape(panel: RunningPanel) -> None:
    await panel.call("add", service=123, username="someone", min=20, max=50, delay=0, posts=2)
    row: dict[str, object] = {"status": "Active", "expiry": "", "posts": "0", "orders": []}
    assert await panel.call("status", order=23501) == row
    await panel.control("advance", {"work": 1})
    row |= {"status": "Completed", "posts": "2", "orders": [23502, 23503]}
    assert await panel.call("status", order=23501) == row


async def test_the_posts_of_a_subscription_are_orders_of_their_own_paid_on_it(
    panel: RunningPanel,
) -> None:
    wanted = {"username": "someone", "min": 20, "max": 50, "delay": 0, "posts": 1, "old_posts": 3}
    await panel.call("add", service=123, **wanted)
    paid = await panel.balance()
    await panel.control("advance", {"work": 0.7})
    row = await panel.call("status", order=23501)
    assert row == {"status": "Active", "expiry": "", "posts": "2", "orders": [23502, 23503]}
    child = await panel.call("status", order=23502)
    assert (child["status"], child["remains"], child["charge"]) == ("Pending", "50", "0.00")
    await panel.control("order", {"order": 23503, "status": "Partial", "remains": 7})
    await panel.control("advance", {"work": 1})
    answer = await panel.call("status", orders="23501,23502,23503")
    assert answer["23501"]["orders"] == [23502, 23503, 23504, 23505]
    assert [answer[n]["status"] for n in ("23502", "23503")] == ["Completed", "Partial"]
    assert await panel.balance() == paid
    assert len(panel.accepted()) == 1


async def test_a_subscription_that_is_canceled_midway_keeps_the_posts_it_served(
    panel: RunningPanel,
) -> None:
    wanted = {"username": "someone", "min": 20, "max": 50, "delay": 0, "posts": 4}
    await panel.call("add", service=123, **wanted)
    await panel.control("advance", {"work": 0.7})
    assert await panel.call("cancel", orders=23501) == [{"order": 23501, "cancel": 1}]
    row = await panel.call("status", order=23501)
    assert (row["status"], row["posts"], len(row["orders"])) == ("Canceled", "2", 2)
