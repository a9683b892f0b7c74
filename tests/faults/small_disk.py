"""A file system of a few hundred megabytes for engines' data, to be filled to its last byte."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.embedded import erase
from gateway.embedded.place import prepare

_SIZE = "320M"
_PIECE = bytes(64 * 1024)


class SmallDisk:
    """What is mounted at ``home``."""

    def __init__(self, home: Path) -> None:
        self._filler = home / "filler"

    def fill(self) -> None:
        """Take all the room that is left."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (len(_PIECE), 1):
                try:
                    while file.write(_PIECE[:size]) == size:
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(data_dir: Path) -> Iterator[SmallDisk]:
    """A small disk for the engines of ``data_dir``, which do not run before and after.

    Skips the test, loudly, where this process may not mount one.
    """
    place = prepare(data_dir)
    mounted = False
    try:
        options = f"size={_SIZE},mode=0700"
        if place.user:
            options += f",uid={place.user.uid},gid={place.user.gid}"
        _mount("mount", "-t", "tmpfs", "-o", options, "smm-small-disk", str(place.home))
        mounted = True
        yield SmallDisk(place.home)
    finally:
        if mounted:
            _mount("umount", str(place.home))
        erase(data_dir)


def _mount(program: str, *arguments: str) -> None:
    if os.geteuid() != 0 or shutil.which(program) is None:
        pytest.skip("SKIPPED, NOT TESTED: a full disk needs root, who may mount a small one")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode and program == "mount":
        pytest.skip(f"SKIPPED, NOT TESTED: a small disk cannot be mounted: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
