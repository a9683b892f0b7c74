"""``python -m tests.faults``: minutes or hours of faults under load, and a verdict.

The time is cut into rounds, each on a database of its own that is judged at its end. A round's
faults follow from its seed, which is printed; ``--round`` plays one of them again. A run that was
killed itself is judged by ``--judge`` with the folder of its last round.
"""

import argparse
import asyncio
import logging
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
import uvloop

from tests.faults.engines import KillableEngines
from tests.faults.run import Result, judge_killed, round_of
from tests.faults.small_world import SmallWorld, Wrong
from tests.faults.upsets import GROUPS, Upset, drawn

_TELL_SECONDS = 60
#: Of each schedule of the small world.
_STEPS = 120


def main(arguments: Sequence[str]) -> int:
    """Run as the arguments say; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="of faults in all (30)")
    parser.add_argument("--round-minutes", type=float, default=5, help="of one round (5)")
    parser.add_argument("--seed", default=str(secrets.randbits(32)), help="of the whole run")
    parser.add_argument("--round", type=int, help="only this round of the seed")
    parser.add_argument("--only", default="", help=f"groups of faults: {', '.join(GROUPS)}")
    parser.add_argument("--folder", type=Path, help="for what the run writes (a temporary one)")
    parser.add_argument("--schedules", type=int, default=10_000, help="of the small world (10,000)")
    parser.add_argument("--order-list", action="store_true", help="the panel lists its orders")
    parser.add_argument(
        "--thought", type=float, default=0.08, help="of clients, seconds at most (0.08)"
    )
    parser.add_argument("--judge", type=Path, help="the folder of a killed run's round")
    given = parser.parse_args(arguments)
    groups = [name for name in given.only.split(",") if name]
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if given.judge is not None:
            return runner.run(_judge(given.judge.absolute()))
        if given.folder is not None:
            return runner.run(_run(given, groups, given.folder.absolute()))
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            return runner.run(_run(given, groups, Path(folder)))


async def _run(given: argparse.Namespace, groups: Sequence[str], folder: Path) -> int:
    print(f"seed {given.seed}: {given.minutes:g} minutes of {given.only or 'all faults'}")
    total = _small_world(given.seed, given.schedules)
    rounds = max(1, round(given.minutes / given.round_minutes))
    seconds = given.minutes * 60 / rounds
    numbers = [given.round] if given.round else range(1, rounds + 1)
    engines = KillableEngines(folder / "engines")
    async with engines:
        for number in numbers:
            seed = f"{given.seed}-{number}"
            result = await _round(engines, folder, seed, seconds, groups, given)
            for text in result.wrong[:20]:
                print(f"WRONG {text}", flush=True)
            total.add(result)
    print("\n".join(total.table()))
    if total.wrong:
        print(f"again: python -m tests.faults --seed {given.seed} --round N", end="")
        print(f" --minutes {given.minutes:g} --round-minutes {given.round_minutes:g}")
        return 1
    engines.erase()
    return 0


def _small_world(seed: str, schedules: int) -> Result:
    """Random schedules of the pure decisions, in this process."""
    result = Result()
    for number in range(schedules):
        try:
            SmallWorld(f"{seed}-{number}").run(_STEPS)
        except Wrong as error:
            result.wrong.append(f"schedule {seed}-{number}: {error}")
            print(f"WRONG {result.wrong[-1]}", flush=True)
    result.numbers["schedules of the small world"] = schedules
    return result


async def _judge(folder: Path) -> int:
    async with KillableEngines(folder.parent / "engines") as engines:
        result = await judge_killed(engines, folder)
    print("\n".join([f"WRONG {text}" for text in result.wrong[:20]] + result.table()))
    return 1 if result.wrong else 0


async def _round(
    engines: KillableEngines,
    folder: Path,
    seed: str,
    seconds: float,
    groups: Sequence[str],
    given: argparse.Namespace,
) -> Result:
    done: Counter[str] = Counter()
    told = time.monotonic()

    def tell(name: str) -> None:
        nonlocal told
        done[name] += 1
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            print(f"  {done.total()} faults so far, now: {name}", flush=True)

    def draw(chance: random.Random) -> Callable[[], Upset | None]:
        until = time.monotonic() + seconds
        return lambda: drawn(chance, groups) if time.monotonic() < until else None

    folder /= f"round-{seed}"
    result = await round_of(
        engines,
        folder,
        seed,
        draw,
        tell,
        order_list=given.order_list,
        longest_thought=given.thought,
    )
    numbers = result.numbers
    print(
        f"round {seed}: {result.upsets.total()} faults, {numbers['orders']} orders, "
        f"{numbers['in doubt']} in doubt, {len(result.wrong)} violations",
        flush=True,
    )
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
