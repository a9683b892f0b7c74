"""docs/faults.md says which test shows what: those tests exist, as do its mutants."""

import re
from pathlib import Path

from tests.planted_bugs.bugs import BUGS, WAITING

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_every_test_that_the_document_names_exists() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)", sources))
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", TEXT))
    assert named
    assert named <= there, sorted(named - there)
    assert all((ROOT / name).is_file() for name in files), files


def test_the_mutants_of_the_document_are_those_that_are_planted_or_wait() -> None:
    planted = {bug.mutant: bug.name for bug in BUGS if bug.mutant}
    waiting = {mutant: f"waits for {what}" for mutant, what in WAITING.items()}
    told = dict(re.findall(r"^\| (M\d+) \| (.*?) \|", TEXT, re.MULTILINE))
    assert told == planted | waiting


def test_every_mutant_is_caught_by_the_test_that_the_document_names() -> None:
    rows = re.findall(r"^\| (M\d+) \| .*? \| `(.*?)` \|$", TEXT, re.MULTILINE)
    caught = {bug.mutant: bug.test for bug in BUGS}
    assert rows
    assert all(test in caught[mutant] for mutant, test in rows), rows
