"""``python -m tests.planted_bugs [WORD…]``: plants the bugs (named or numbered so) in turn."""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.planted_bugs.bugs import BUGS, Bug
from tests.planted_bugs.scratch import CannotPlant, Failure, copy_checkout, plant, run_tests


def main(words: Sequence[str]) -> int:
    """Plant the bugs; 0 when every one was caught."""
    began = time.monotonic()
    bugs = [bug for bug in BUGS if not words or any(_is_meant(bug, word) for word in words)]
    if not bugs:
        print(f"no bug is named like that; there are: {', '.join(b.name for b in BUGS)}")
        return 2
    try:
        # Without a bug the same tests pass, or their failures would prove nothing.
        if failures := _run(None, sorted({bug.test for bug in bugs})):
            raise CannotPlant(f"{failures[0].test} fails without any bug: {failures[0].message}")
        missed = [bug for bug in bugs if not _catch(bug)]
    except CannotPlant as error:
        print(error, file=sys.stderr)
        return 2
    minutes = (time.monotonic() - began) / 60
    print(f"{len(bugs) - len(missed)} of {len(bugs)} planted bugs were caught in {minutes:.1f} min")
    for bug in missed:
        print(f"SURVIVED: {bug.mutant} {bug.name}")
    return 1 if missed else 0


def _is_meant(bug: Bug, word: str) -> bool:
    return word == bug.mutant or word in bug.name


def _catch(bug: Bug) -> bool:
    began = time.monotonic()
    failures = _run(bug, [bug.test])
    proofs = [failure for failure in failures if bug.shows in failure.message]
    verdict = f"caught by {proofs[0].test}" if proofs else "NOT CAUGHT"
    print(f"{bug.mutant:<4}{bug.name:<60} {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    for failure in failures:
        print(f"    {_first_line(failure)}", flush=True)
    return bool(proofs)


def _run(bug: Bug | None, tests: Sequence[str]) -> list[Failure]:
    with tempfile.TemporaryDirectory(prefix="planted-bug-") as folder:
        checkout = Path(folder).resolve()
        copy_checkout(checkout)
        if bug is not None:
            plant(bug, checkout)
        return run_tests(checkout, tests)


def _first_line(failure: Failure) -> str:
    return " ".join(failure.message.split())[:160]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
