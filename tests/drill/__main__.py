"""``python -m tests.drill [WORD…]``: plays the scenarios whose name or alert contains a word.

A gateway works on a sandbox panel that fails in each way. The matching alert must fire in a real
Prometheus, whose rules are the shipped ones with shorter windows, and end by the runbook's steps.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.drill.playing import Played, line, play, table
from tests.drill.scenarios import SCENARIOS
from tests.drill.stage import stage

_PATIENCE_SECONDS = 120


async def _run(words: Sequence[str], folder: Path) -> list[Played]:
    wanted = [s for s in SCENARIOS if not words or any(w in s.name or w == s.alert for w in words)]
    played: list[Played] = []
    async with stage(folder) as drill:
        for scenario in wanted:
            played.append(await play(drill, scenario, _PATIENCE_SECONDS))
            print(line(played[-1]), file=sys.stderr, flush=True)
    return played


def main() -> int:
    """Play; 0 when every alert came and went."""
    if shutil.which("prometheus") is None:
        print("the drill needs Prometheus (Debian: apt-get install prometheus)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="smm-drill-") as folder:
        played = asyncio.run(_run(sys.argv[1:], Path(folder)))
    print(table(played))
    return 0 if played and all(one.well for one in played) else 1


if __name__ == "__main__":
    sys.exit(main())
