"""``review``: what an operator sees of orders in doubt, and every way out of them."""

from collections.abc import AsyncIterator

import pytest

from schemas.orders import AttemptState, OrderState
from tests.cli.command import Command
from tests.orders.doubting import Doubting, open_doubting
from tests.orders.line import faulty
from tests.sandbox_process import SandboxProcess
from tests.world import World


@pytest.fixture
async def doubting(world: World, sandbox: SandboxProcess) -> AsyncIterator[Doubting]:
    """A panel without a list of orders: doubts end with a person."""
    async with open_doubting(world, sandbox, listed=False) as opened:
        yield opened


async def _in_review(doubting: Doubting, fault: str, *links: str) -> list[int]:
    made = await doubting.doubt(fault, *links)
    await doubting.look()
    await doubting.pass_time(60)
    await doubting.look()
    rows = await doubting.line.rows()
    assert {rows[number]["state"] for number in made} == {OrderState.REVIEW}
    return made


async def test_an_operator_sees_what_waits_and_all_that_is_known_of_it(
    command: Command, doubting: Doubting
) -> None:
    [number] = await _in_review(doubting, "500-after", faulty())
    [row] = await command.json("review", "list")
    assert (row["order"], row["state"], row["provider"]) == (number, "review", "sandbox")
    assert (row["why"], row["charge"], row["age"]) == ("not_reconciled", "1.05", "0h 00m")
    assert "--placed or --not-placed" in row["suggestion"]
    shown = await command.json("review", "show", number)
    assert shown["history"] == ["queued", "sending", "unknown", "review"]
    [attempt] = shown["attempts"]
    assert (attempt["state"], attempt["http_status"]) == ("unknown", 500)
    assert "Just a moment" in attempt["answer"]
    assert shown["evidence"]["looks"] == 2
    assert shown["evidence"]["balance"]["cost"] == "0.84"
    told = await command.run("review", "show", number)
    assert (told.code, told.error) == (0, "")
    assert "Just a moment" in told.out
    assert "not_reconciled" in (await command.run("review", "list")).out


async def test_an_order_that_was_found_is_followed(command: Command, doubting: Doubting) -> None:
    line = doubting.line
    [number] = await _in_review(doubting, "500-after", faulty())
    [before, there] = [str(one["order"]) for one in line.panel.accepted()]
    place = ["review", "resolve", number, "--reason", "seen there", "--placed"]
    complaints = {
        f"is order {number - 1} already": before,
        "does not have order 77": "77",
        "is not an upstream's order id": "no id",
    }
    for words, upstream_id in complaints.items():
        complaint = (await command.run(*place, upstream_id)).complaint
        assert words in complaint or upstream_id == "no id", complaint
    assert await doubting.state(number) == OrderState.REVIEW
    await line.panel.stop()
    assert "add --unchecked" in (await command.run(*place, there)).complaint
    done = await command.json(*place, there, "--unchecked")
    assert done == {"order": number, "state": "placed", "changed": True}
    version = (await line.row(number))["version"]
    again = await command.run(*place, there)
    assert "nothing was changed" in again.out
    assert (await line.row(number))["version"] == version
    other = ["review", "resolve", number, "--reason", "x", "--cancel"]
    assert f"as placed as {there} already" in (await command.run(*other)).complaint
    await line.panel.start()
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    assert await doubting.state(number) == OrderState.COMPLETED
    assert (await line.history(number))[-2:] == ["operator_placed", "upstream_completed"]
    shown = await command.json("review", "show", number)
    assert [r["reason"] for r in shown["resolutions"]] == ["seen there"]
    await line.world.assert_sound()


async def test_an_order_that_is_not_there_is_sent_and_one_that_is_given_up_is_refunded(
    command: Command, doubting: Doubting
) -> None:
    line = doubting.line
    links = [faulty(name=name) for name in ("again", "given up", "unknown yet")]
    again, gone = await _in_review(doubting, "500-before", *links[:2])
    [early] = await doubting.doubt_more("500-after", links[2])
    spent = await line.spent()
    for number, how in ((again, "--not-placed"), (gone, "--cancel"), (early, "--cancel")):
        resolve = ["review", "resolve", number, how, "--reason", "asked their support"]
        assert (await command.json(*resolve))["changed"] is True
        assert (await command.json(*resolve))["changed"] is False
    assert await line.history(gone) == [
        *("claimed", "answer_lost", "not_reconciled", "operator_canceled"),
    ]
    assert (await line.history(early))[-2:] == ["taken_over", "operator_canceled"]
    assert await line.attempts(gone) == [AttemptState.ABANDONED]
    row = await line.row(gone)
    assert (row["state"], row["refunded"]) == (OrderState.CANCELED, row["charge"])
    assert await line.spent() == spent - 2 * row["charge"]
    await line.send()
    assert await doubting.state(again) == OrderState.PLACED
    assert [line.upstream_orders(link) for link in links] == [1, 0, 1]
    assert await command.json("review", "list") == []
    await line.world.assert_sound()


async def test_what_an_upstream_says_that_cannot_be_has_ways_out(
    command: Command, doubting: Doubting
) -> None:
    line = doubting.line
    links = [faulty(name=str(n)) for n in range(5)]
    follow, done, part, gone, again = made = await line.placed(*links)
    upstream = {n: (await line.row(n))["upstream_id"] for n in made}
    for number in made:
        standing = {"order": int(upstream[number]), "status": "Partial", "remains": -2}
        await line.panel.control("order", standing)
    await line.poll()
    assert {row["state"] for row in (await line.rows()).values()} == {OrderState.REVIEW}
    [first, *_] = await command.json("review", "list")
    assert (first["why"], first["upstream_id"]) == ("impossible_partial", upstream[follow])
    await line.panel.control(
        "order", {"order": int(upstream[follow]), "status": "In progress", "remains": 10}
    )
    later = ["review", "resolve", part, "--cancel", "--attempt", 2, "--reason", "x"]
    assert "look again" in (await command.run(*later)).complaint
    wrong = ["review", "resolve", part, "--partial", 1001, "--attempt", 1, "--reason", "x"]
    assert "1 to 1000" in (await command.run(*wrong)).complaint
    ways: dict[int, list[object]] = {
        follow: ["--placed", upstream[follow]],
        done: ["--completed"],
        part: ["--partial", 400],
        gone: ["--cancel"],
        again: ["--not-placed"],
    }
    for number, how in ways.items():
        assert (await command.json("review", "resolve", number, *how, "--reason", "y"))["changed"]
    await line.world.assert_sound()
    await line.poll()
    rows = await line.rows()
    states = [rows[n]["state"] for n in made]
    assert states == ["in_progress", "completed", "partial", "canceled", "queued"]
    assert rows[part]["refunded"] == rows[part]["charge"] * 400 // 1000
    assert rows[again]["upstream_id"] is None
    await line.send()
    assert line.upstream_orders(links[4]) == 2
    await line.world.assert_sound()


async def test_an_id_that_two_orders_were_given_has_ways_out(
    command: Command, doubting: Doubting
) -> None:
    line = doubting.line
    links = [faulty(name=str(n)) for n in range(4)]
    [known] = await line.placed(links[0])
    upstream_id = (await line.row(known))["upstream_id"]
    rule = {"action": "add", "fault": f'body-after:{{"order":{upstream_id}}}', "times": 3}
    await line.panel.control("faults", rule)
    placed, queued, gone = made = await line.place(*links[1:])
    await line.send()
    assert {(await line.row(n))["state"] for n in made} == {OrderState.REVIEW}
    real = [str(one["order"]) for one in line.panel.accepted()]
    for number, how in (
        (placed, ["--placed", real[1]]),
        (queued, ["--not-placed"]),
        (gone, ["--cancel"]),
    ):
        assert (await command.json("review", "resolve", number, *how, "--reason", "y"))["changed"]
        await line.world.assert_sound()
    assert (await line.row(placed))["upstream_id"] == real[1]


async def test_an_active_link_after_a_doubt_has_ways_out(
    command: Command, doubting: Doubting
) -> None:
    line = doubting.line
    links = [faulty(name=str(n)) for n in range(3)]
    placed, queued, gone = made = await _in_review(doubting, "500-after", *links)
    for number in made:
        await command.json("review", "resolve", number, "--not-placed", "--reason", "not seen")
    await line.panel.control("conduct", {"unique_links": True})
    await line.send()
    assert {(await line.history(n))[-1] for n in made} == {"active_link_after_doubt"}
    there = next(str(o["order"]) for o in line.panel.accepted() if o["link"] == links[0])
    for number, how in (
        (placed, ["--placed", there]),
        (queued, ["--not-placed"]),
        (gone, ["--cancel"]),
    ):
        assert (await command.json("review", "resolve", number, *how, "--reason", "y"))["changed"]
        await line.world.assert_sound()
    assert await line.attempts(placed) == [AttemptState.PLACED, AttemptState.REJECTED]


async def test_mistakes_are_one_clear_line(command: Command, doubting: Doubting) -> None:
    [number] = await doubting.line.placed(faulty())
    reason = ["--reason", "x"]
    complaints: dict[str, list[object]] = {
        "no order 999": ["resolve", 999, "--cancel", *reason],
        "no order 998": ["show", 998],
        f"order {number} is placed": ["resolve", number, "--cancel", *reason],
        "needs a reason": ["resolve", number, "--cancel", "--reason", " "],
        "goes with --placed": ["resolve", number, "--cancel", "--unchecked", *reason],
    }
    for words, line in complaints.items():
        assert words in (await command.run("review", *line)).complaint, line
    [lost] = await doubting.doubt("500-after", faulty())
    ended = ["review", "resolve", lost, "--completed", *reason]
    assert "first say where it is" in (await command.run(*ended)).complaint
    assert await doubting.state(lost) == OrderState.UNKNOWN
