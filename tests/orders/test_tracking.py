"""Tracking over a real panel: facts are applied once, and a failed read changes nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.orders.tracking import BATCH
from schemas.orders import OrderState
from tests.conftest import eventually
from tests.orders.fates import CHARGE
from tests.orders.line import TRACKING, Line, faulty, open_line
from tests.sandbox_process import SandboxProcess
from tests.world import World


async def _upstream_id(line: Line, number: int) -> int:
    return int((await line.row(number))["upstream_id"])


async def _stands(line: Line, number: int, status: str, **values: int) -> None:
    """Set where the order stands at the panel."""
    command = {"order": await _upstream_id(line, number), "status": status, **values}
    await line.panel.control("order", command)


async def test_an_order_is_followed_from_pending_to_completed(line: Line) -> None:
    [number] = await line.placed(faulty())
    seen = []
    for _ in range(12):
        await line.poll()
        seen.append((await line.told(number))[0])
        await line.panel.control("advance", {"work": 0.1})
    assert list(dict.fromkeys(seen)) == ["Pending", "Processing", "In progress", "Completed"]
    row = await line.row(number)
    assert (row["state"], row["refunded"]) == (OrderState.COMPLETED, 0)
    assert await line.told(number) == ("Completed", CHARGE, 0)
    assert await line.history(number) == [
        "claimed",
        "upstream_took",
        "upstream_started",
        "upstream_completed",
    ]
    await line.world.assert_sound()


async def test_the_counters_of_a_running_order_are_told(line: Line) -> None:
    [number] = await line.placed(faulty())
    await _stands(line, number, "In progress", remains=333, start_count=4_000_000_000)
    await line.poll()
    assert await line.told(number) == ("In progress", CHARGE, 333)
    assert (await line.row(number))["start_count"] == 4_000_000_000


@pytest.mark.parametrize(
    ("fault", "word", "state", "refunded", "remains"),
    [
        ("partial:30", "Partial", OrderState.PARTIAL, CHARGE * 300 // 1000, 300),
        ("partial:100", "Partial", OrderState.PARTIAL, CHARGE, 1000),
        ("cancel", "Canceled", OrderState.CANCELED, CHARGE, 1000),
        ("unique-link", "Completed", OrderState.COMPLETED, 0, 0),
    ],
)
async def test_each_end_is_settled_once_however_often_it_is_reported(
    line: Line, fault: str, word: str, state: OrderState, refunded: int, remains: int
) -> None:
    [number] = await line.placed(faulty(fault))
    await line.panel.control("advance", {"work": 1})
    for _ in range(5):
        await line.poll()
    row = await line.row(number)
    assert (row["state"], row["refunded"]) == (state, refunded)
    assert await line.told(number) == (word, CHARGE - refunded, remains)
    assert await line.spent() == CHARGE - refunded
    await line.world.assert_sound()


async def test_pollers_at_the_same_time_settle_an_order_once(line: Line) -> None:
    made = await line.placed(*[faulty("partial:50", name=str(n)) for n in range(30)])
    await line.panel.control("advance", {"work": 1})
    await asyncio.gather(*(line.poll() for _ in range(6)))
    assert {(await line.row(n))["refunded"] for n in made} == {CHARGE // 2}
    assert await line.spent() == 30 * CHARGE // 2
    await line.world.assert_sound()


async def test_a_late_correction_pays_the_difference_once_and_the_wire_keeps_what_was_told(
    line: Line,
) -> None:
    [number] = await line.placed(faulty())
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    told = await line.told(number)
    for remains, refunded in [(400, 420_000), (400, 420_000), (100, 420_000), (600, 630_000)]:
        await _stands(line, number, "Partial", remains=remains)
        await line.poll()
        await line.poll()
        assert await line.spent() == CHARGE - refunded
        assert await line.told(number) == told == ("Completed", CHARGE, 0)
    await _stands(line, number, "Canceled")
    await line.poll()
    await _stands(line, number, "Completed")
    await line.poll()
    row = await line.row(number)
    assert (row["state"], row["refunded"]) == (OrderState.CANCELED, CHARGE)
    assert await line.told(number) == told
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_the_watch_over_a_finished_order_ends(world: World, sandbox: SandboxProcess) -> None:
    tracking = TRACKING.model_copy(update={"watch_ms": 0})
    async with open_line(world, sandbox, tracking=tracking) as line:
        [number] = await line.placed(faulty())
        await line.panel.control("advance", {"work": 1})
        assert await line.poll() == 1
        assert (await line.row(number))["state"] == OrderState.COMPLETED
        assert await line.poll() == 1
        assert await line.poll() == 0
        await _stands(line, number, "Canceled")
        assert await line.poll() == 0
        assert (await line.row(number))["state"] == OrderState.COMPLETED


_SILENT = ("state", "version", "refunded", "start_count", "remains")
_TOLD = ("wire_status", "wire_charge", "wire_remains")


def _facts(rows: Mapping[int, Mapping[str, Any]]) -> dict[int, list[Any]]:
    return {number: [row[name] for name in _SILENT + _TOLD] for number, row in rows.items()}


#: Answers to ``status`` that say nothing about any order.
_NOTHING_SAID = [
    "html-before",
    "500-before",
    "502-before",
    "503-before",
    "504-before",
    "maintenance",
    "reset-before",
    "close-before",
    "hang-before",
    "empty-before",
    "truncated-before:5",
    "cut-before",
    "redirect-before",
    "noise-before",
    "too-many",
    "bad-key",
    "no-funds",
    "refuse:Something went wrong",
    "body-before:null",
    "body-before:[]",
    'body-before:"ok"',
    "huge-after:5000000",
    "shape:unknown",
    "refuse:Incorrect request",
    "status:Odd",
    "status:=7",
    "status:=null",
    "status:=",
]


async def test_a_read_that_says_nothing_changes_nothing(line: Line) -> None:
    await line.placed(*[faulty("cancel", name=str(n)) for n in range(3)])
    await line.panel.control("advance", {"work": 0.5})
    await line.poll()
    before = _facts(await line.rows())
    await line.panel.control("advance", {"work": 1})
    for fault in _NOTHING_SAID:
        await line.panel.control("faults", {"fault": fault, "action": "status", "times": 1000})
        await line.poll()
        assert _facts(await line.rows()) == before, fault
        await line.panel.control("faults", method="DELETE")
    await line.poll()
    assert {row["state"] for row in (await line.rows()).values()} == {OrderState.CANCELED}
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_a_panel_that_is_away_changes_nothing(line: Line) -> None:
    await line.placed(faulty("cancel"))
    before = _facts(await line.rows())
    await line.panel.kill()
    await line.poll()
    assert _facts(await line.rows()) == before


async def test_ids_that_an_answer_leaves_out_are_no_news_for_those_orders(line: Line) -> None:
    made = await line.placed(*[faulty(name=str(n)) for n in range(4)])
    await line.panel.control("advance", {"work": 1})
    await line.panel.control("faults", {"fault": "shape:missing", "action": "status"})
    await line.poll()
    states = [(await line.row(n))["state"] for n in made]
    assert sorted(states) == [OrderState.COMPLETED] * 2 + [OrderState.PLACED] * 2
    await line.poll()
    assert {row["state"] for row in (await line.rows()).values()} == {OrderState.COMPLETED}


#: Cells of a status row, and what they make of the order.
_ODD = {
    (
        "status:Partial",
        "remains:-2",
    ): OrderState.REVIEW,
    (
        "status:Partial",
        "remains:",
    ): OrderState.REVIEW,
    (
        "status:Partial",
        "remains:=1.5",
    ): OrderState.REVIEW,
    (
        "status:Partial",
        "remains:100000000000000000000",
    ): OrderState.REVIEW,
    (
        "status:Completed",
        "remains:1000",
    ): OrderState.REVIEW,
    ("status:Fail",): OrderState.REVIEW,
    (
        "status:Completed",
        "start_count:99999999999999999999999",
    ): OrderState.COMPLETED,
    (
        "status:Completed",
        "start_count:-7",
    ): OrderState.COMPLETED,
    (
        "status:Completed",
        "charge:1e400",
    ): OrderState.COMPLETED,
    ("status:cancelled",): OrderState.CANCELED,
    ("status: IN PROGRESS ",): OrderState.IN_PROGRESS,
}


async def test_odd_values_concern_their_own_order_alone(line: Line) -> None:
    links = [faulty(*cells, name=str(n)) for n, cells in enumerate(_ODD)]
    *odd, sound = await line.placed(*links, faulty("partial:10", name="sound"))
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    rows = await line.rows()
    assert {cells: rows[n]["state"] for cells, n in zip(_ODD, odd, strict=True)} == _ODD
    for cells, number in zip(_ODD, odd, strict=True):
        canceled = _ODD[cells] is OrderState.CANCELED
        assert rows[number]["refunded"] == (CHARGE if canceled else 0), cells
    assert rows[sound]["state"] == OrderState.PARTIAL
    await line.world.assert_sound()


async def test_orders_are_asked_for_a_hundred_at_a_time(line: Line) -> None:
    made = await line.place(*[faulty(name=str(n)) for n in range(BATCH + 30)])
    await line.send()
    await line.panel.control("advance", {"work": 1})
    before = (await line.panel.control("state"))["requests"].get("status", 0)
    assert await line.poll() == len(made)
    calls = (await line.panel.control("state"))["requests"]["status"] - before
    assert calls == 2
    assert {row["state"] for row in (await line.rows()).values()} == {OrderState.COMPLETED}
    await line.world.assert_sound()


async def test_an_order_being_asked_for_is_not_asked_for_twice(line: Line) -> None:
    await line.placed(*[faulty(name=str(n)) for n in range(3)])
    await line.panel.control("faults", {"fault": "hang-before", "action": "status"})
    first = asyncio.create_task(line.tracker.poll(line.adapter, line.provider))

    async def asked() -> bool:
        return bool((await line.panel.control("state"))["requests"].get("status"))

    await eventually(asked)
    assert (await line.tracker.poll(line.adapter, line.provider)).asked == 0
    assert (await first).asked == 3


async def test_orders_of_another_provider_are_left_alone(line: Line, world: World) -> None:
    [number] = await line.placed(faulty("cancel"))
    other = await world.provider(line.panel.url, line.panel.key, "other")
    await line.panel.control("advance", {"work": 1})
    assert (await line.tracker.poll(line.adapter, other)).asked == 0
    assert (await line.row(number))["state"] == OrderState.PLACED
