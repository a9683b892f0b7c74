"""C16: the database's disk is full, for tables first, then for its log, which ends the server.

Nothing acknowledged is lost, nothing is left half done, clients are told to come again, and once
there is room orders are taken again without anybody's help.
"""

import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import eventually
from tests.faults.arena import Arena
from tests.faults.engines import KillableEngines
from tests.faults.run import Result, judge, play
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.upsets import Upset

#: ``FULL_DISKS=20`` fills it so often, each way.
FULL_DISKS = int(os.environ.get("FULL_DISKS", "1"))
#: So many calls must be told to come again before there is room again.
_SHED = 20
_MOST_SEGMENTS, _GIVES_UP_SECONDS = 100, 5


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Where the engines of this test keep their data."""
    with small_disk(tmp_path / "engines") as mounted:
        yield mounted


async def test_a_full_disk_loses_nothing_and_orders_are_taken_again_once_there_is_room(
    disk: SmallDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = f"{secrets.randbits(32)}"
    waiting = [_no_room_for_tables(disk), _no_room_for_the_log(disk)] * FULL_DISKS
    async with (
        KillableEngines(tmp_path / "engines") as engines,
        Arena(engines, tmp_path / "arena", seed=seed) as arena,
    ):
        upsets = await play(
            arena,
            lambda: waiting.pop(0) if waiting else None,
            random.Random(seed),
            lambda _: None,
        )
        evidence, wrong, numbers = await judge(arena)
        log = "".join(gateway.log_text() for gateway in arena.gateways)
    report = "\n".join([f"seed {seed}", *Result([seed], upsets, numbers, wrong).table()])
    with capsys.disabled():
        print(f"\n{report}")
    assert not wrong, "\n".join([*wrong[:20], report])
    assert evidence.snapshots, report
    assert numbers["adds acknowledged"], report
    assert "DiskFullError" in log


def _no_room_for_tables(disk: SmallDisk) -> Upset:
    async def deed(arena: Arena, _: random.Random) -> None:
        disk.fill()
        try:
            await _shed(arena)
            assert arena.engines.database.child.exit_code() is None, "the server stays"
        finally:
            disk.make_room()

    return Upset("disk full", "disk", 1, deed)


def _no_room_for_the_log(disk: SmallDisk) -> Upset:
    """The server breaks down, and cannot come back, or only to break down again."""

    async def deed(arena: Arena, _: random.Random) -> None:
        disk.fill()
        try:
            await _use_up_the_log(arena)
            await _shed(arena)
        finally:
            disk.make_room()
        database = arena.engines.database
        # As whoever looks after the server would: nothing starts a PostgreSQL that gave up.
        if await database.child.wait(_GIVES_UP_SECONDS) is not None:
            await database.start()

    return Upset("no room for the log", "disk", 1, deed)


async def _use_up_the_log(arena: Arena) -> None:
    """Begin new segments of the log until the server has no room for another, and breaks down."""
    try:
        async with arena.engines.superuser() as conn:
            for _ in range(_MOST_SEGMENTS):
                await conn.execute("select pg_logical_emit_message(false, 'full', 'disk')")
                await conn.execute("select pg_switch_wal()")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return
    raise AssertionError("there was room for the log")


async def _shed(arena: Arena) -> None:
    """Wait until so many calls were told to come again."""
    before = arena.load.put_off

    async def told() -> bool:
        return arena.load.put_off >= before + _SHED

    await eventually(told, seconds=60)
