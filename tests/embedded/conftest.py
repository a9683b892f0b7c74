"""Data directories that leave nothing behind."""

import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.embedded import EmbeddedEngines, erase, place
from tests.embedded.observe import home_of


@pytest.fixture
def empty_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory that does not exist yet."""
    path = tmp_path / "empty"
    yield path
    erase(path)


@pytest.fixture(scope="session")
async def used_dir(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    path = tmp_path_factory.mktemp("engines") / "used"
    async with EmbeddedEngines(path):
        pass
    yield path
    erase(path)


@pytest.fixture
def data_dir(used_dir: Path, tmp_path: Path) -> Iterator[Path]:
    """A data directory after its first use, copied because making one takes a second."""
    path = tmp_path / "data"
    copy(used_dir, path)
    pointer = path / place.POINTER
    if pointer.exists():
        home = home_of(used_dir)
        name = secrets.token_hex(8)
        copy(home, home.with_name(name))
        pointer.write_text(name)
    yield path
    erase(path)


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
