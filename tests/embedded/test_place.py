"""Where the engines live, and that nobody else's rights change for it."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.embedded import EmbeddedEngines, EmbeddedError, place
from gateway.embedded.binaries import binaries_for_anyone, find_binaries
from tests.embedded.observe import connected, home_of, postmaster_of

needs_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="NOT TESTED: dropping from root to an unprivileged user (run the tests as root too)",
)


def rights(path: Path) -> list[tuple[Path, int, int]]:
    return [
        (p, stat.S_IMODE(p.stat().st_mode), p.stat().st_uid)
        for p in (path, *path.parents)
        if p.exists()
    ]


async def test_rights_of_existing_folders_stay(tmp_path: Path, empty_dir: Path) -> None:
    tmp_path.chmod(0o700)
    empty_dir.mkdir(mode=0o750)
    empty_dir.chmod(0o750)
    program = find_binaries().postgres
    before = rights(empty_dir) + rights(program)
    async with EmbeddedEngines(empty_dir):
        assert rights(empty_dir) + rights(program) == before
    assert rights(empty_dir) + rights(program) == before


@needs_root
async def test_root_below_a_private_folder_hands_the_engines_to_another_user(
    tmp_path: Path, empty_dir: Path
) -> None:
    tmp_path.chmod(0o700)
    async with EmbeddedEngines(empty_dir) as addresses, connected(addresses.database_url) as db:
        assert await db.fetchval("SELECT 1") == 1
        home = home_of(empty_dir)
        owner = Path(f"/proc/{postmaster_of(empty_dir)}").stat().st_uid
        assert owner == home.stat().st_uid != 0
        assert home.parent == place.SYSTEM_DIR


@pytest.fixture
def private_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed packages as they look below root's private home."""
    site = tmp_path / "private"
    bundled = find_binaries()
    package = bundled.postgres.parent.parent
    shutil.copytree(bundled.postgres.parent, site / package.name / bundled.postgres.parent.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, site / libraries.name)
    valkey = bundled.valkey.parent.parent.parent
    shutil.copytree(valkey, site / valkey.name)
    for name in (package.name, valkey.name):
        (site / name / "__init__.py").touch()
    site.chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    for name in [name for name in sys.modules if name.partition(".")[0] == valkey.name]:
        monkeypatch.delitem(sys.modules, name)
    return site


@pytest.fixture
def system_dir() -> Iterator[Path]:
    """A system folder of the test's own, at a place that any user may enter."""
    folder = place.make_system_dir() / f"test-{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "SYSTEM_DIR", folder)
        yield folder
    shutil.rmtree(folder)


@needs_root
async def test_programs_below_a_private_folder_are_copied_once_and_run(
    system_dir: Path, private_programs: Path, empty_dir: Path
) -> None:
    assert find_binaries().postgres.is_relative_to(private_programs)
    async with EmbeddedEngines(empty_dir) as addresses, connected(addresses.database_url) as db:
        assert await db.fetchval("SELECT 1") == 1
    copied = binaries_for_anyone()
    assert copied.postgres.is_relative_to(system_dir)
    assert copied.valkey.is_relative_to(system_dir)
    written = copied.valkey.stat().st_ctime_ns
    assert binaries_for_anyone().valkey.stat().st_ctime_ns == written


async def test_damaged_pointer_is_refused(empty_dir: Path) -> None:
    empty_dir.mkdir()
    pointer = empty_dir / place.POINTER
    pointer.write_text("../../etc")
    with pytest.raises(EmbeddedError, match=r"is damaged: restore it|set up by root: run as root"):
        await EmbeddedEngines(empty_dir).start()
    pointer.unlink()


@needs_root
async def test_lost_home_is_refused_instead_of_starting_empty(empty_dir: Path) -> None:
    empty_dir.mkdir()
    pointer = empty_dir / place.POINTER
    pointer.write_text("0123456789abcdef")
    with pytest.raises(EmbeddedError, match="is gone: restore it, or delete"):
        await EmbeddedEngines(empty_dir).start()
    pointer.unlink()


@needs_root
async def test_root_does_not_shadow_the_data_of_an_ordinary_user(empty_dir: Path) -> None:
    local = empty_dir / place.LOCAL_HOME
    local.mkdir(parents=True)
    with pytest.raises(EmbeddedError, match="set up by an ordinary user"):
        await EmbeddedEngines(empty_dir).start()
    local.rmdir()


async def test_impossible_data_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        EmbeddedError, match=r"cannot make the data directory .* choose another one"
    ):
        await EmbeddedEngines(tmp_path / "file" / "data").start()
