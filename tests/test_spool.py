"""The spool: on disk before it is said, found by whoever comes next, forgotten when it is true."""

import os
from pathlib import Path

import pytest

from gateway.spool import DOUBT, OUTCOME, Spool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where spools are; it does not exist yet."""
    return tmp_path / "data" / "spool"


def _forsake(spool: Spool) -> None:
    """As ``kill -9`` leaves it: the lock is gone, nothing was told."""
    assert spool._file is not None
    os.close(spool._file)
    spool._file = None


def _records(spool: Spool, kind: str = OUTCOME) -> list[object]:
    return [dict(entry.record) for entry in spool.entries(kind)]


async def test_a_spool_without_an_entry_leaves_no_trace(folder: Path) -> None:
    spool = Spool(folder)
    assert await spool.adopt() == 0
    await spool.close()
    assert not folder.exists()


async def test_what_a_killed_process_has_left_is_taken_over_once(folder: Path) -> None:
    killed = Spool(folder)
    await killed.add(OUTCOME, {"order": 1})
    settled = await killed.add(OUTCOME, {"order": 2})
    await killed.add(DOUBT, {"orders": [3]})
    await killed.settle(settled)
    _forsake(killed)
    heir, late = Spool(folder), Spool(folder)
    assert (await heir.adopt(), await late.adopt()) == (2, 0)
    assert _records(heir) == [{"order": 1}]
    assert _records(heir, DOUBT) == [{"orders": [3]}]
    _forsake(heir)
    assert await late.adopt() == 2, "what was taken over is on disk again"


async def test_what_a_living_process_keeps_is_its_own(folder: Path) -> None:
    living, other = Spool(folder), Spool(folder)
    await living.add(OUTCOME, {"order": 1})
    assert await other.adopt() == 0


async def test_an_entry_is_the_callers_until_it_is_released(folder: Path) -> None:
    spool = Spool(folder)
    entry = await spool.add(OUTCOME, {"order": 1})
    assert spool.entries(OUTCOME) == []
    spool.release(entry)
    assert spool.entries(OUTCOME) == [entry]


@pytest.mark.parametrize("torn", [b'{"number":9,"kind":"outc', b"\xff\xfe", b'{"number":9}\n'])
async def test_a_torn_line_costs_itself_alone(folder: Path, torn: bytes) -> None:
    killed = Spool(folder)
    await killed.add(OUTCOME, {"order": 1})
    _forsake(killed)
    [file] = folder.glob("*.jsonl")
    with file.open("ab") as opened:
        opened.write(torn)
    heir = Spool(folder)
    assert await heir.adopt() == 1
    assert _records(heir) == [{"order": 1}]


async def test_a_spool_without_open_entries_is_empty_again(folder: Path) -> None:
    spool = Spool(folder)
    entries = [await spool.add(OUTCOME, {"order": n}) for n in range(5)]
    [file] = folder.glob("*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes().splitlines()) == 5
    for entry in entries:
        await spool.settle(entry)
    assert file.read_bytes() == b""
    await spool.close()
    assert list(folder.iterdir()) == []


async def test_a_folder_that_cannot_be_written_loses_nothing_of_a_living_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool")
    entry = await spool.add(OUTCOME, {"order": 1})
    spool.release(entry)
    assert spool.entries(OUTCOME) == [entry]
    await spool.settle(entry)
    assert spool.entries(OUTCOME) == []


async def test_what_was_taken_over_onto_a_full_disk_is_taken_over_once(
    folder: Path, tmp_path: Path
) -> None:
    killed = Spool(folder)
    await killed.add(OUTCOME, {"order": 1})
    _forsake(killed)
    (tmp_path / "file").touch()
    heir, next_one = Spool(folder), Spool(folder)
    heir._path = tmp_path / "file" / "nowhere.jsonl"
    assert (await heir.adopt(), await heir.adopt()) == (1, 0)
    assert _records(heir) == [{"order": 1}]
    assert await next_one.adopt() == 1, "it is still where it was on disk"
