"""The control address: rules, corrections, money, counters."""

from typing import Any

import pytest

from tests.sandbox.conftest import RunningPanel


async def test_a_rule_hits_the_next_calls(panel: RunningPanel) -> None:
    rules = await panel.control("faults", {"fault": "refuse:No", "times": 2})
    assert rules["rules"] == [{"action": "add", "fault": ["refuse:No"], "times": 2, "share": 1.0}]
    answers = [await panel.add() for _ in range(3)]
    assert answers == [{"error": "No"}, {"error": "No"}, {"order": 23501}]
    assert (await panel.control("faults", method="GET"))["rules"] == []


async def test_a_rule_may_plan_an_order(panel: RunningPanel) -> None:
    await panel.control("faults", {"fault": "partial:25"})
    await panel.add()
    await panel.control("advance", {"work": 1})
    assert (await panel.call("status", order=23501))["remains"] == "250"
    assert panel.accepted()[0]["faults"] == ["partial:25"]


async def test_a_share_is_the_same_for_the_same_seed(panel: RunningPanel) -> None:
    seen = []
    for _ in range(2):
        await panel.control("faults", {"fault": ["refuse:a", "refuse:b"], "share": 0.5, "seed": 7})
        answers = [await panel.add(quantity=10) for _ in range(40)]
        seen.append([answer.get("error") for answer in answers])
        await panel.control("faults", method="DELETE")
    assert seen[0] == seen[1]
    assert set(seen[0]) == {None, "a", "b"}
    assert "order" in await panel.add()


async def test_rules_keep_to_their_action(panel: RunningPanel) -> None:
    await panel.control("faults", {"action": "balance", "fault": "maintenance"})
    await panel.control("faults", {"action": "status", "fault": "status:Success"})
    await panel.add()
    assert (await panel.call("status", orders=23501))["23501"]["status"] == "Success"
    assert (await panel.call("status", order=23501))["status"] == "Pending"
    async with panel.session.post(
        panel.address.url, data={"key": panel.address.key, "action": "balance"}
    ) as answer:
        assert answer.status == 503


async def test_corrections_move_the_money(panel: RunningPanel) -> None:
    await panel.add()
    moves: list[tuple[dict[str, Any], str]] = [
        ({"status": "Completed"}, "999.16"),
        ({"status": "Partial", "remains": 250}, "999.37"),
        ({"status": "Canceled"}, "1000.00"),
        ({"status": "In progress", "remains": 400}, "999.16"),
        ({"status": "Partial", "remains": -2}, "999.16"),
    ]
    for command, balance in moves:
        await panel.control("order", {"order": 23501} | command)
        row = await panel.call("status", order=23501)
        assert row["status"] == command["status"]
        assert row["remains"] == str(
            command.get("remains", {"Completed": 0, "Canceled": 1000}.get(row["status"]))
        )
        assert await panel.balance() == balance
    await panel.control("order", {"order": 23501, "start_count": 12})
    assert (await panel.call("status", order=23501))["start_count"] == "12"


async def test_a_canceled_plan_gives_its_money_back_once(panel: RunningPanel) -> None:
    await panel.add(link="https://example.com/?sandbox=cancel")
    await panel.control("order", {"order": 23501, "status": "Canceled"})
    assert await panel.balance() == "1000.00"
    await panel.control("advance", {"work": 2})
    assert await panel.balance() == "1000.00"


async def test_the_balance_is_set(panel: RunningPanel) -> None:
    await panel.add()
    for amount in ("0.5", "20000.123456"):
        state = await panel.control("balance", {"amount": amount})
        assert state["balance"].rstrip("0") == amount.rstrip("0")
    await panel.control("balance", {"amount": "0"})
    assert await panel.add() == {"error": "Not enough funds on balance"}


async def test_accepted_orders_are_listed(panel: RunningPanel) -> None:
    await panel.call("add", service=141, link="https://example.com/p", comments="a\nb")
    (row,) = await panel.control("orders", method="GET")
    (line,) = panel.accepted()
    assert row == line | {
        "status": "Pending",
        "remains": 2,
        "start_count": 0,
        "charged": "0.019",
    }
    assert line["order"] == 23501
    assert line["parameters"] == {"comments": "a\nb"}


async def test_the_state_counts_requests(panel: RunningPanel) -> None:
    await panel.add()
    await panel.call("balance")
    await panel.call("nonsense")
    state = await panel.control("speed", {"seconds": 3.5})
    assert state == {
        "balance": "999.16",
        "currency": "USD",
        "orders": 1,
        "seconds": 3.5,
        "requests": {"add": 1, "balance": 1, "other": 1},
        "unique_links": False,
        "order_list": False,
        "latency_before_ms": 0,
        "latency_after_ms": 0,
    }


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("faults", {"fault": "refuze"}),
        ("faults", {"fault": []}),
        ("faults", {"fault": "refuse", "times": 0}),
        ("faults", {"fault": "refuse", "share": 2}),
        ("faults", {"fault": "refuse", "share": "half"}),
        ("faults", {"fault": "refuse", "action": "fly"}),
        ("faults", {"fault": "refuse", "seed": []}),
        ("speed", {"seconds": 0}),
        ("speed", {"seconds": True}),
        ("advance", {"work": -1}),
        ("balance", {"amount": "-1"}),
        ("balance", {}),
        ("conduct", {"latency_before_ms": -1}),
        ("conduct", {"unique_links": 1}),
        ("order", {"order": 9, "status": "Canceled"}),
        ("order", {"order": 23501, "remains": "5"}),
        ("order", {"order": []}),
        ("order", []),
    ],
)
async def test_bad_commands_are_refused(panel: RunningPanel, path: str, command: Any) -> None:
    await panel.add()
    before = await panel.control("state", method="GET")
    assert list(await panel.control(path, command)) == ["error"]
    assert await panel.control("state", method="GET") == before
