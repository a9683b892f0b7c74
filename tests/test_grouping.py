"""Groups: what arrives while one is in flight becomes the next, and each caller gets its own."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.grouping import GroupFailed, Groups, Overloaded


class Work:
    """Doubles numbers; keeps the groups that it got, and waits where a test holds it."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.running = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        self.running += 1
        assert self.running == 1, "two groups at once"
        await self.gate.wait()
        self.running -= 1
        if 0 in items:
            raise ZeroDivisionError
        return [LookupError(str(item)) if item < 0 else item * 2 for item in items]


async def test_what_arrives_together_is_one_group() -> None:
    work = Work()
    groups: Groups[int, int] = Groups(work, largest=100)
    answers = await asyncio.gather(*(groups.submit(n) for n in range(1, 51)))
    assert answers == [n * 2 for n in range(1, 51)]
    assert work.groups == [list(range(1, 51))]


async def test_what_arrives_meanwhile_is_the_next_group() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(work, largest=100)
    first = groups.submit(1)
    await asyncio.sleep(0)
    rest = [groups.submit(n) for n in (2, 3, 4)]
    work.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert work.groups == [[1], [2, 3, 4]]


async def test_a_group_is_never_larger_than_allowed_and_keeps_the_order() -> None:
    work = Work()
    groups: Groups[int, int] = Groups(work, largest=3)
    await asyncio.gather(*(groups.submit(n) for n in range(1, 9)))
    assert work.groups == [[1, 2, 3], [4, 5, 6], [7, 8]]


async def test_an_item_that_fails_fails_alone() -> None:
    groups: Groups[int, int] = Groups(Work(), largest=10)
    answers = await asyncio.gather(*map(groups.submit, (1, -5, 2)), return_exceptions=True)
    assert answers[::2] == [2, 4]
    assert isinstance(answers[1], LookupError)


async def test_work_that_fails_is_told_to_the_whole_group_and_the_next_one_works() -> None:
    groups: Groups[int, int] = Groups(Work(), largest=2)
    answers = await asyncio.gather(*map(groups.submit, (1, 0, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers[:2]] == [GroupFailed, GroupFailed]
    assert answers[2] == 6


async def test_a_caller_that_goes_away_leaves_its_item_in_the_group() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(work, largest=10)

    async def call(number: int) -> int:
        return await groups.submit(number)

    leaver, stayer = asyncio.create_task(call(1)), asyncio.create_task(call(2))
    while not work.groups:
        await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.wait([leaver])
    work.gate.set()
    assert await stayer == 4
    assert work.groups == [[1, 2]]


async def test_too_much_waiting_is_refused_and_not_taken() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(work, largest=1, waiting=2)
    taken = [groups.submit(1), groups.submit(2)]
    with pytest.raises(Overloaded):
        groups.submit(3)
    work.gate.set()
    assert await asyncio.gather(*taken) == [2, 4]
    assert await groups.submit(4) == 8
    assert work.groups == [[1], [2], [4]]


async def test_owners_take_turns_so_that_a_flood_waits_for_itself() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(work, largest=4, owner_of=lambda number: number // 100)
    flood = [groups.submit(100 + n) for n in range(10)]
    await asyncio.sleep(0)
    others = [groups.submit(200), groups.submit(300), groups.submit(201)]
    work.gate.set()
    await asyncio.gather(*flood, *others)
    assert work.groups == [
        [100, 101, 102, 103],
        [104, 200, 300, 105],
        [201, 106, 107, 108],
        [109],
    ]


async def test_an_owner_may_have_a_quarter_of_the_queue() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(
        work, largest=1, waiting=8, owner_of=lambda number: number // 100
    )
    taken = [groups.submit(100)]
    await asyncio.sleep(0)
    taken += [groups.submit(101), groups.submit(102)]
    with pytest.raises(Overloaded):
        groups.submit(103)
    taken.append(groups.submit(200))
    work.gate.set()
    assert await asyncio.gather(*taken) == [200, 202, 204, 400]


async def test_in_a_full_queue_a_newcomer_takes_the_place_of_who_has_most() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(
        work, largest=1, waiting=8, owner_of=lambda number: number // 100
    )
    first = groups.submit(1)
    await asyncio.sleep(0)
    many = [groups.submit(100 * owner + n) for owner in (1, 2, 3, 4) for n in (1, 2)]
    newcomer = groups.submit(500)
    assert len(groups) == 8
    with pytest.raises(Overloaded):
        groups.submit(501)
    work.gate.set()
    answers = await asyncio.gather(first, newcomer, *many, return_exceptions=True)
    assert answers[:2] == [2, 1000]
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 1
    assert sum(len(group) for group in work.groups) == 9


async def test_who_would_wait_too_long_is_told_at_once_and_others_are_not() -> None:
    work, clock = Work(), [0.0]
    groups: Groups[int, int] = Groups(
        work,
        largest=2,
        owner_of=lambda number: number // 100,
        longest_wait=5,
        clock=lambda: clock[0],
    )
    work.gate.clear()
    running = groups.submit(100)
    await asyncio.sleep(0)
    # The group has been at work for 2 seconds: one for the next group, and no more than one.
    clock[0] = 2
    taken = [groups.submit(100 + n) for n in (1, 2, 3, 4)]
    with pytest.raises(Overloaded) as refused:
        groups.submit(105)
    assert refused.value.retry_after == 5
    other = groups.submit(200)
    work.gate.set()
    assert await asyncio.gather(running, other, *taken) == [200, 400, 202, 204, 206, 208]


async def test_what_fits_into_the_next_group_is_taken_however_slow_the_last_one_was() -> None:
    work, clock = Work(), [0.0]
    groups: Groups[int, int] = Groups(work, largest=2, longest_wait=5, clock=lambda: clock[0])
    work.gate.clear()
    running = groups.submit(1)
    await asyncio.sleep(0)
    clock[0] = 1_000
    taken = [groups.submit(2), groups.submit(3)]
    with pytest.raises(Overloaded):
        groups.submit(4)
    work.gate.set()
    assert await asyncio.gather(running, *taken) == [2, 4, 6]


class Queue:
    """A queue whose groups of one item take as long as a test says."""

    def __init__(self) -> None:
        self.work, self.now = Work(), 0.0
        self.groups: Groups[int, int] = Groups(
            self.work, largest=1, longest_wait=5, clock=lambda: self.now
        )

    async def run(self, seconds: float) -> None:
        """One group from its beginning to its end."""
        running = await self.begin(seconds)
        self.work.gate.set()
        await running

    async def begin(self, seconds: float) -> asyncio.Future[int]:
        """A group that has been at work for so long."""
        self.work.gate.clear()
        running = self.groups.submit(1)
        await asyncio.sleep(0)
        self.now += seconds
        return running


@pytest.mark.parametrize("slow", [0.05, 0.1, 0.4])
async def test_one_slow_group_among_quick_ones_turns_nobody_away(slow: float) -> None:
    queue = Queue()
    for _ in range(400):
        await queue.run(0.005)
    while_it_runs = [await queue.begin(slow)]
    while_it_runs += [queue.groups.submit(number) for number in range(1, 201)]
    queue.work.gate.set()
    await asyncio.gather(*while_it_runs)
    after_it = [await queue.begin(0.0)]
    after_it += [queue.groups.submit(number) for number in range(1, 201)]
    queue.work.gate.set()
    assert len(await asyncio.gather(*after_it)) == 201


async def test_a_queue_that_has_become_slow_turns_a_long_wait_away_within_seconds() -> None:
    queue = Queue()
    for _ in range(400):
        await queue.run(0.005)
    waiting = [await queue.begin(3.0), queue.groups.submit(1), queue.groups.submit(1)]
    with pytest.raises(Overloaded):
        waiting += map(queue.groups.submit, range(1, 20))
    queue.work.gate.set()
    await asyncio.gather(*waiting)


async def test_nothing_is_done_for_callers_that_left_before_their_group_began() -> None:
    work = Work()
    work.gate.clear()
    groups: Groups[int, int] = Groups(work, largest=10)
    left = [False]
    begun = groups.submit(1, lambda: left[0])
    await asyncio.sleep(0)
    cancelled, gone, stays = groups.submit(2), groups.submit(3, lambda: left[0]), groups.submit(4)
    cancelled.cancel()
    left[0] = True
    work.gate.set()
    assert (await begun, await stays) == (2, 8)
    with pytest.raises(Overloaded):
        await gone
    assert work.groups == [[1], [4]]


async def test_a_queue_of_callers_that_all_left_comes_to_an_end() -> None:
    work = Work()
    groups: Groups[int, int] = Groups(work, largest=2)
    for number in range(5):
        groups.submit(number).cancel()
    await groups.finish()
    assert work.groups == []
    assert await groups.submit(7) == 14


async def test_finishing_waits_for_everything_that_was_submitted() -> None:
    work = Work()
    groups: Groups[int, int] = Groups(work, largest=1)
    futures = [groups.submit(n) for n in (1, 2, 3)]
    await groups.finish()
    assert [future.result() for future in futures] == [2, 4, 6]
    await groups.finish()
