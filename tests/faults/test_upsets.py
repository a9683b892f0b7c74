"""Every group of faults, a few of each under load: nothing is lost, doubled or misjudged.

``make faults`` and ``make soak`` do the same for longer.
"""

import secrets
from pathlib import Path
from random import Random

import pytest

from tests.faults.arena import Arena
from tests.faults.engines import KillableEngines
from tests.faults.run import Result, judge, play
from tests.faults.upsets import GROUPS, UPSETS

_TOGETHER = (("kill", "stop", "deploy"), ("db",), ("net",), ("panel", "redis", "flood"))


def test_every_group_of_faults_is_met() -> None:
    assert sorted(group for groups in _TOGETHER for group in groups) == sorted(GROUPS)


@pytest.mark.parametrize("groups", _TOGETHER, ids="+".join)
async def test_faults_under_load_break_no_promise(
    killable: KillableEngines,
    tmp_path: Path,
    groups: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = f"{secrets.randbits(32)}"
    waiting = [upset for upset in UPSETS if upset.group in groups]
    Random(seed).shuffle(waiting)
    async with Arena(killable, tmp_path, seed=seed) as arena:
        upsets = await play(
            arena, lambda: waiting.pop() if waiting else None, Random(seed), lambda _: None
        )
        evidence, wrong, numbers = await judge(arena)
    report = "\n".join([f"seed {seed}", *Result([seed], upsets, numbers, wrong).table()])
    with capsys.disabled():
        print(f"\n{report}")
    assert not wrong, "\n".join([*wrong[:20], report])
    # A run in which nothing was ordered, seen or looked at would prove nothing.
    assert numbers["adds acknowledged"], report
    assert evidence.sights, report
    assert evidence.snapshots, report
    await killable.drop_database(arena.database)
