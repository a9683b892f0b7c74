"""A run with faults: upsets by a seed under load, then rest, then the judgement."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.money.audit import audit
from gateway.store.connection import open_pool
from tests.conftest import eventually
from tests.faults.arena import Arena
from tests.faults.checker import violations
from tests.faults.engines import KillableEngines
from tests.faults.evidence import Evidence
from tests.faults.journal import Outcome
from tests.faults.judging import fates, gather, reckon
from tests.faults.upsets import Upset

#: Between two upsets the gateways get so long to show what they do when left alone.
_BREATH = (0.2, 1.5)
_REST_SECONDS, _DECIDED_SECONDS = 120, 300
#: When all faults are over, clients are answered again, so often within so many seconds.
_CALLS_AFTERWARDS, _RECOVERY_SECONDS = 100, 60

Tell = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What a run met, and what was wrong in it; results of several runs add up."""

    seeds: list[str] = field(default_factory=list)
    upsets: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        """Count another run in."""
        self.seeds += other.seeds
        self.upsets.update(other.upsets)
        self.numbers.update(other.numbers)
        self.wrong += other.wrong

    def table(self) -> list[str]:
        """All figures, one a line; ``bound`` is what no mistake in so many orders proves."""
        numbers = self.numbers
        lines = [f"{number:>9}  {name}" for name, number in sorted(self.upsets.items())]
        lines += [f"{number:>9}  {name}" for name, number in numbers.items()]
        lines.append(f"{_share(numbers['in doubt'], numbers['sends']):>9}  of sends in doubt")
        resolved = numbers["in doubt"] - numbers["left to a person"]
        lines.append(f"{_share(resolved, numbers['in doubt']):>9}  resolved without a person")
        if not self.wrong and numbers["orders"]:
            lines.append(f"{3 / numbers['orders']:>9.1e}  bound (95 %) on wrongs per order")
        lines.append(f"{len(self.wrong):>9}  violations")
        return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


async def play(
    arena: Arena, draw: Callable[[], Upset | None], chance: random.Random, tell: Tell
) -> Counter[str]:
    """Put the arena under load, and do one upset after the other until none is drawn any more.

    Raises:
        TimeoutError: when orders are not taken again although all faults are over.
    """
    done: Counter[str] = Counter()
    async with arena.load as load:
        load.go()
        while (upset := draw()) is not None:
            await asyncio.sleep(chance.uniform(*_BREATH))
            tell(upset.name)
            await upset.deed(arena, chance)
            done[upset.name] += 1
        await arena.heal()
        before = load.answered

        async def recovered() -> bool:
            return load.answered >= before + _CALLS_AFTERWARDS

        try:
            await eventually(recovered, seconds=_RECOVERY_SECONDS, every=0.1)
        finally:
            load.stop()
    return done


async def judge(arena: Arena, *, decided: bool = False) -> tuple[Evidence, list[str], Counter[str]]:
    """Let the arena come to rest; the evidence, what is wrong, and the figures of it.

    With ``decided``, what is in doubt gets its time to be resolved.
    """
    wrong: list[str] = []
    seconds = _DECIDED_SECONDS if decided else _REST_SECONDS
    try:
        await arena.come_to_rest(seconds, decided=decided)
    except TimeoutError:
        wrong.append(f"no rest within {seconds} s")
    await reckon(arena)
    evidence = await gather(arena)
    wrong += violations(evidence)
    pool = await open_pool(arena.engines.direct_url_of(arena.database), size=1)
    try:
        broken = (await audit(pool)).broken
        wrong += [f"audit {finding.check}: {finding.row}" for finding in broken]
    finally:
        await pool.close()
    async with arena.engines.superuser(arena.database) as conn:
        found = await fates(conn)
    return evidence, wrong, _figures(arena, evidence, found)


def _figures(arena: Arena, evidence: Evidence, found: dict[str, int]) -> Counter[str]:
    told = Counter(add.outcome for add in evidence.adds)
    links = Counter(link for _, link in evidence.accepted)
    return Counter(
        {
            "adds acknowledged": told[Outcome.OK],
            "adds refused or not sent": told[Outcome.FAIL],
            "adds never answered": told[Outcome.UNKNOWN],
            "adds sent again after a lost answer": arena.load.retries,
            "orders": len(evidence.orders),
            "acknowledged orders lost": _lost(evidence),
            "orders doubled": _doubled(evidence),
            "accepted upstream": len(evidence.accepted),
            "accepted twice upstream": sum(number > 1 for number in links.values()),
            "sends": found["sends"],
            "in doubt": found["doubted"],
            "left to a person": found["left_open"],
            "refills": found["refills"],
            "cancellations": found["cancels"],
            "looks of clients": len(evidence.sights),
            "snapshots of the bank": len(evidence.snapshots),
        }
    )


def _lost(evidence: Evidence) -> int:
    kept = {order.id for order in evidence.orders}
    told = (add.order_id for add in evidence.adds if add.outcome is Outcome.OK)
    return sum(order_id not in kept for order_id in told)


def _doubled(evidence: Evidence) -> int:
    links = Counter(order.link for order in evidence.orders)
    return sum(number - 1 for number in links.values())


async def round_of(
    engines: KillableEngines,
    folder: Path,
    seed: str,
    draw: Callable[[random.Random], Callable[[], Upset | None]],
    tell: Tell,
    *,
    order_list: bool = False,
    longest_thought: float = 0.08,
) -> Result:
    """One whole run on an arena of its own."""
    chance = random.Random(seed)
    arena = Arena(
        engines, folder, seed=seed, order_list=order_list, longest_thought=longest_thought
    )
    async with arena:
        arena.note()
        upsets = await play(arena, draw(chance), chance, tell)
        _, wrong, numbers = await judge(arena, decided=True)
    if not wrong:
        await engines.drop_database(arena.database)
    return Result([seed], upsets, numbers, [f"seed {seed}: {text}" for text in wrong])


async def judge_killed(engines: KillableEngines, folder: Path) -> Result:
    """Judge a run whose generator was killed, from what it left in its folder."""
    arena = Arena.resumed(engines, folder)
    async with arena:
        _, wrong, numbers = await judge(arena)
    return Result([str(arena.seed)], Counter(), numbers, wrong)
