"""A copy of the checkout in which a bug is planted, and a run of some tests on that copy."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2

from tests.planted_bugs.bugs import Bug

ROOT = Path(__file__).resolve().parents[2]
#: Enough for the kill run to meet every planted bug, in less time than the suite's.
_KILLS = "30"
_PACKAGES = ("schemas", "providers", "gateway", "tests")


class CannotPlant(Exception):
    """A bug cannot be planted or its tests cannot be run: the list of bugs is out of date."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed test, and what it said."""

    test: str
    message: str


def copy_checkout(to: Path) -> None:
    """Copy what is in version control, and what would be once it was added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():  # a deleted file is still listed
            target.parent.mkdir(parents=True, exist_ok=True)
            copy2(source, target)


def plant(bug: Bug, checkout: Path) -> None:
    """Write the bug into the copy.

    Raises:
        CannotPlant: when the text that it replaces is not there exactly once, or what comes out
            is not Python.
    """
    path = checkout / bug.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.count(bug.before) != 1:
        raise CannotPlant(f"{bug.name}: the text is {text.count(bug.before)} times in {bug.file}")
    path.write_text(text.replace(bug.before, bug.after or "\n"), encoding="utf-8")
    # A bug that is no sound Python would be caught by any test, for the wrong reason.
    undefined = ("check", "--isolated", "--quiet", "--select", "F821,F822,F823", bug.file)
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", *undefined],
        cwd=checkout,
        check=False,
        capture_output=True,
        text=True,
    )
    if checked.returncode:
        raise CannotPlant(f"{bug.name}: {checked.stdout}{checked.stderr}")


def run_tests(checkout: Path, tests: Sequence[str]) -> list[Failure]:
    """The tests that fail in the copy.

    Raises:
        CannotPlant: when the tests could not be run, or would not run the copy's code.
    """
    _assert_imported_from(checkout)
    results = checkout / "results.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--junitxml={results}", *tests],
        cwd=checkout,
        env=_environment(checkout),
        check=False,
        capture_output=True,
        text=True,
    )
    # 0: all passed, 1: some failed; the others mean that they were not run.
    if done.returncode not in (0, 1) or not results.exists():
        raise CannotPlant(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    failures = [
        Failure(f"{case.get('classname')}.{case.get('name')}", failure.get("message") or "")
        for case in ET.parse(results).iter("testcase")
        for failure in case.iter("failure")
    ]
    if done.returncode == 1 and not failures:
        raise CannotPlant(f"tests could not be set up:\n{done.stdout}{done.stderr}")
    return failures


def _assert_imported_from(checkout: Path) -> None:
    """An editable install of the real checkout must not win over the copy."""
    code = "import {0}; print({0}.__file__)"
    for package in _PACKAGES:
        found = subprocess.run(
            [sys.executable, "-c", code.format(package)],
            cwd="/",  # as seen by child processes of tests, wherever they are started
            env=_environment(checkout),
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        if not Path(found).is_relative_to(checkout):
            raise CannotPlant(f"{package} is imported from {found} instead of the copy")


def _environment(checkout: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(checkout), "KILLS": _KILLS}
