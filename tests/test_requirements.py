"""The locked requirements install the same files everywhere, from wherever pip is set to look."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKED = ("run.txt", "dev.txt")


def requirements(name: str) -> dict[str, str]:
    """Each requirement's text, continuation lines included, by its name."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {line.partition("==")[0]: line for line in lines}


@pytest.mark.parametrize("name", LOCKED)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    found = requirements(name)
    assert found
    for line in found.values():
        assert re.match(r"[a-z0-9-]+==\S+ ", line), line
        assert re.search(r" --hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("name", [*LOCKED, "build.in"])
def test_no_place_to_download_from_is_named(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"://|file:|@|--(extra-)?index|--find-links|--trusted-host", text)
    # A host name: dotted words outside versions and hashes.
    assert not re.search(r"\b[a-z][a-z-]*\.(com|org|net|io|dev|local|internal)\b", text)


def test_developers_have_all_that_the_gateway_runs_with() -> None:
    assert requirements("run.txt").items() <= requirements("dev.txt").items()


def test_build_backend_is_the_locked_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = (ROOT / "requirements" / "build.in").read_text().split()
    assert project["build-system"]["requires"] == pinned
    assert requirements("run.txt")["setuptools"].startswith(f"{pinned[0]} ")
