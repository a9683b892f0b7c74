"""Subscriptions: what reports make of them, and over a real panel that serves posts as orders."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orders.drafting import draft_order
from gateway.orders.lifecycle import Polling
from gateway.orders.subscriptions import Subscriptions, after_subscription_status
from schemas.money import share_of, undelivered_part
from schemas.orders import FINAL_WORDS, Order, OrderState, WireStatus
from schemas.panel_v2 import PanelError
from schemas.schedules import Run, Schedule
from schemas.upstream import UpstreamStatus, UpstreamWord
from tests.orders.line import Line
from tests.orders.making import NOW, an_order, written

POLLING = Polling(10, 1000, 1000, 1000)
ACTIVE = UpstreamWord.IN_PROGRESS
RATE = 337_500  # 0.27 and a markup of a quarter
MAX = 50
CHARGE = RATE * MAX * 4 // 1000


def a_parent(
    posts: int = 4, *, charge: int = CHARGE, state: OrderState = OrderState.IN_PROGRESS
) -> Order:
    """A subscription to ``posts`` posts of fifty pieces that its upstream has taken."""
    return an_order(
        state,
        service_type="Subscriptions",
        quantity=MAX * posts,
        charge=charge,
        wire_remains=MAX * posts,
    )


def a_plan(posts: int = 4) -> Schedule:
    """Its plan, in which the upstream makes the parts."""
    return Schedule(1, posts, None, None, 1, "someone", False, NOW)


def a_post(
    parent: Order, plan: Schedule, number: int, state: OrderState, remains: int | None = None
) -> Run:
    """Post ``number`` as it stands, with the money that its state gives back."""
    charge = share_of(parent.charge, number, plan.runs)
    refunded = charge if state is OrderState.CANCELED else 0
    if state is OrderState.PARTIAL:
        assert remains is not None
        refunded = undelivered_part(charge, remains, MAX)
    word = FINAL_WORDS.get(state, WireStatus.PENDING)
    return Run(1, number, 1 + number, f"c{number}", state, MAX, charge, refunded, remains, word)


def heard(
    word: UpstreamWord | None, posts: int | None = None, orders: Sequence[str] = ()
) -> UpstreamStatus:
    """A report of an upstream."""
    return UpstreamStatus(word, posts=posts, orders=tuple(orders))


def follow(
    parent: Order,
    runs: Sequence[Run],
    status: UpstreamStatus,
    *,
    taken: Sequence[str] = (),
    plan: Schedule | None = None,
) -> tuple[OrderState | None, tuple[str, ...], int]:
    """State, new posts and refund after a report."""
    followed = after_subscription_status(
        parent, plan or a_plan(), runs, status, {*taken, *_ids(runs)}, NOW, POLLING
    )
    change = followed.change
    return (change.state if change else None), followed.posts, change.refund if change else 0


def _ids(runs: Sequence[Run]) -> set[str]:
    return {run.upstream_id for run in runs if run.upstream_id}


def test_posts_that_are_reported_become_orders_once() -> None:
    parent, plan = a_parent(), a_plan()
    first = a_post(parent, plan, 1, OrderState.PLACED)
    report = heard(ACTIVE, 2, ["c1", "c2"])
    assert follow(parent, [first], report) == (OrderState.IN_PROGRESS, ("c2",), 0)
    second = a_post(parent, plan, 2, OrderState.PLACED)
    assert follow(parent, [first, second], report)[1] == ()


def test_an_end_waits_for_the_posts() -> None:
    parent, plan = a_parent(), a_plan()
    done = heard(UpstreamWord.COMPLETED, 1, ["c1"])
    assert follow(parent, [], done) == (OrderState.IN_PROGRESS, ("c1",), 0)
    post = a_post(parent, plan, 1, OrderState.PLACED)
    assert follow(parent, [post], done) == (OrderState.IN_PROGRESS, (), 0)
    served = a_post(parent, plan, 1, OrderState.COMPLETED)
    unserved = CHARGE - CHARGE // 4
    assert follow(parent, [served], done) == (OrderState.PARTIAL, (), unserved)


@pytest.mark.parametrize(
    "report",
    [
        heard(ACTIVE, 5),
        heard(UpstreamWord.COMPLETED, 5),
        heard(ACTIVE, 5, ["c1", "c2", "c3", "c4", "c5"]),
        heard(UpstreamWord.CANCELED, None, ["c1", "c2", "c3", "c4", "c5"]),
    ],
)
def test_more_posts_than_were_paid_for_are_for_a_person(report: UpstreamStatus) -> None:
    state, posts, refund = follow(a_parent(), [], report)
    assert (state, refund) == (OrderState.REVIEW, 0)
    assert len(posts) <= 4


def test_an_order_that_is_ours_already_is_no_post() -> None:
    parent = a_parent()
    state, posts, refund = follow(parent, [], heard(ACTIVE, 2, ["77", "c1"]), taken=["77"])
    assert (state, posts, refund) == (OrderState.REVIEW, ("c1",), 0)


def test_an_end_of_which_nothing_is_told_is_for_a_person() -> None:
    assert follow(a_parent(), [], heard(UpstreamWord.COMPLETED))[0] is OrderState.REVIEW
    nothing = follow(a_parent(), [], heard(UpstreamWord.CANCELED))
    assert nothing == (OrderState.CANCELED, (), CHARGE)


def test_posts_that_are_counted_and_not_named_are_paid_for() -> None:
    state, _, refund = follow(a_parent(), [], heard(UpstreamWord.CANCELED, 3))
    assert (state, refund) == (OrderState.PARTIAL, CHARGE - CHARGE * 3 // 4)
    assert follow(a_parent(), [], heard(UpstreamWord.COMPLETED, 4))[0] is OrderState.COMPLETED


@pytest.mark.parametrize(
    "state", [OrderState.UNKNOWN, OrderState.REVIEW, OrderState.COMPLETED, OrderState.CANCELED]
)
def test_what_has_ended_or_is_in_doubt_is_left_alone(state: OrderState) -> None:
    report = heard(UpstreamWord.CANCELED, 1, ["c1"])
    assert follow(a_parent(state=state), [], report) == (None, (), 0)


@given(
    charge=st.integers(1, 10**9),
    paid=st.integers(1, 8),
    ends=st.lists(
        st.tuples(
            st.sampled_from([OrderState.COMPLETED, OrderState.PARTIAL, OrderState.CANCELED]),
            st.integers(1, MAX),
        ),
        max_size=8,
    ),
    extra=st.integers(0, 3),
    word=st.sampled_from([UpstreamWord.COMPLETED, UpstreamWord.CANCELED]),
)
def test_a_subscription_costs_exactly_what_was_delivered(
    charge: int,
    paid: int,
    ends: list[tuple[OrderState, int]],
    extra: int,
    word: UpstreamWord,
) -> None:
    parent, plan = a_parent(paid, charge=charge), a_plan(paid)
    runs = [
        a_post(parent, plan, number, state, remains if state is OrderState.PARTIAL else None)
        for number, (state, remains) in enumerate(ends[:paid], 1)
    ]
    served = min(len(runs) + extra, paid)
    report = heard(word, served, sorted(_ids(runs)))
    change = after_subscription_status(parent, plan, runs, report, _ids(runs), NOW, POLLING).change
    assert change is not None
    ended = written(change)
    returned = ended.refunded + sum(run.refunded for run in runs)
    assert 0 <= returned <= charge
    assert ended.wire_charge == charge - returned
    assert ended.refunded == charge - charge * served // paid
    assert change.next_in is None
    if ended.state is OrderState.CANCELED:
        assert returned == charge
    if ended.state is OrderState.COMPLETED:
        assert returned == 0


async def subscribe(line: Line, *, posts: int = 4, name: str | None = None, **values: str) -> int:
    """An accepted subscription of the sandbox's service for posts, which is then sent."""
    services = line.catalogue.current.services.values()
    service = next(s for s in services if s.type == "Subscriptions")
    wanted = {"username": "someone", "min": "20", "max": str(MAX), "delay": "0"}
    draft = draft_order(
        service,
        wanted | {"posts": str(posts)} | values,
        reseller_id=line.customer.id,
        currency="USD",
        request_id="r-sub",
    )
    number = (await line.intake.submit(replace(draft, external_id=name))).order_id
    await line.send()
    assert (await line.row(number))["state"] == OrderState.PLACED
    return number


async def posts_of(line: Line, parent: int) -> list[Mapping[str, Any]]:
    """The posts that are orders of ours, as they are stored."""
    rows = await line.rows()
    return [row for _, row in sorted(rows.items()) if row["parent_id"] == parent]


async def stands(line: Line, order: Mapping[str, Any], status: str, **values: int) -> None:
    """Set where an order stands at the panel."""
    command = {"order": int(order["upstream_id"]), "status": status, **values}
    await line.panel.control("order", command)


async def test_a_subscription_is_served_post_by_post(line: Line) -> None:
    parent = await subscribe(line, posts=3, old_posts="1")
    assert await line.told(parent) == ("Pending", CHARGE, 200)
    await line.panel.control("advance", {"work": 0.7})
    for _ in range(3):
        await line.poll()
    posts = await posts_of(line, parent)
    assert [(p["quantity"], p["charge"], p["state"]) for p in posts] == [
        (MAX, share_of(CHARGE, number, 4), OrderState.PLACED) for number in (1, 2)
    ]
    assert await line.told(parent) == ("In progress", CHARGE, 200)
    assert await line.told(posts[0]["id"]) == ("Pending", posts[0]["charge"], MAX)
    await line.world.assert_sound()
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    assert await line.told(parent) == ("In progress", CHARGE, 100)
    await line.panel.control("advance", {"work": 1})
    await line.poll()
    await line.poll()
    assert await line.told(parent) == ("Completed", CHARGE, 0)
    assert len(await posts_of(line, parent)) == 4
    assert await line.spent() == CHARGE
    assert await line.attempts(parent) == ["placed"]
    [accepted] = line.panel.accepted()
    assert accepted["quantity"] == 200
    await line.world.assert_sound()


@pytest.mark.parametrize("word", ["Expired", "Canceled", "Completed"])
async def test_posts_that_were_not_served_are_paid_back(line: Line, word: str) -> None:
    parent = await subscribe(line)
    await line.panel.control("advance", {"work": 0.7})
    await line.poll()
    first, second = await posts_of(line, parent)
    await stands(line, first, "Completed")
    await stands(line, second, "Partial", remains=20)
    await stands(line, await line.row(parent), word, remains=100)
    for _ in range(3):
        await line.poll()
    shares = [share_of(CHARGE, number, 4) for number in (1, 2)]
    cost = sum(shares) - shares[1] * 20 // MAX
    assert await line.told(parent) == ("Partial", cost, 120)
    assert await line.spent() == cost
    assert (await line.row(parent))["refunded"] == CHARGE - sum(shares)
    await line.world.assert_sound()


async def test_a_subscription_that_expired_without_a_post_costs_nothing(line: Line) -> None:
    parent = await subscribe(line)
    await stands(line, await line.row(parent), "Expired")
    await line.poll()
    assert await line.told(parent) == ("Canceled", 0, 200)
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_a_subscription_that_is_repeated_under_its_name_is_one(line: Line) -> None:
    first = await subscribe(line, name="mine")
    assert await subscribe(line, name="mine") == first
    with pytest.raises(PanelError):
        await subscribe(line, posts=5, name="mine")
    assert await line.spent() == CHARGE


async def test_a_pause_is_told_as_progress(line: Line) -> None:
    parent = await subscribe(line)
    await stands(line, await line.row(parent), "Paused")
    await line.poll()
    assert await line.told(parent) == ("In progress", CHARGE, 200)


async def test_posts_settle_by_themselves_also_after_their_parent(line: Line) -> None:
    parent = await subscribe(line, posts=2)
    await line.panel.control("advance", {"work": 1})
    for _ in range(2):
        await line.poll()
    await line.panel.control("advance", {"work": 1})
    for _ in range(2):
        await line.poll()
    charge = CHARGE // 2
    assert await line.told(parent) == ("Completed", charge, 0)
    first = (await posts_of(line, parent))[0]
    await stands(line, first, "Canceled")
    await line.poll()
    assert await line.told(parent) == ("Completed", charge, 0)
    assert await line.spent() == charge - first["charge"]
    await line.world.assert_sound()


async def test_more_posts_than_were_paid_for_wait_for_a_person(line: Line) -> None:
    parent = await subscribe(line, posts=1)
    report = heard(ACTIVE, 3, ["901", "902", "903"])
    await Subscriptions(line.pool, POLLING).follow(parent, report, NOW)
    assert (await line.row(parent))["state"] == OrderState.REVIEW
    assert len(await posts_of(line, parent)) == 1
    assert await line.spent() == CHARGE // 4
    await line.world.assert_sound()


async def test_polls_at_the_same_time_make_each_post_once(line: Line) -> None:
    parents = [await subscribe(line, username=f"user{n}") for n in range(5)]
    await line.panel.control("advance", {"work": 1})
    for _ in range(3):
        async with line.pool.acquire() as conn:
            await conn.execute("update orders set next_at = now()")
        polls = [line.tracker.poll(line.adapter, line.provider, limit=3) for _ in range(8)]
        await asyncio.gather(*polls)
    await line.poll()
    for parent in parents:
        assert len(await posts_of(line, parent)) == 4
    await line.world.assert_sound()
