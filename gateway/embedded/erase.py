"""Deletes the bundled engines' data, wherever it lives."""

import shutil
from pathlib import Path

from gateway.embedded.place import POINTER, prepare
from gateway.embedded.state import ADDRESSES, ARCHIVE, CLAIM, SECRETS, Claim


def erase(data_dir: Path) -> None:
    """Delete all data and passwords of stopped engines; foreign files in `data_dir` stay.

    Raises EnginesBusy while they run, EmbeddedError when they are another user's.
    """
    data_dir = data_dir.absolute()
    if not data_dir.exists():
        return
    place = prepare(data_dir)
    claim = Claim.take(data_dir)
    try:
        shutil.rmtree(place.home)
        for name in (POINTER, SECRETS, ADDRESSES, ARCHIVE, CLAIM):
            (data_dir / name).unlink(missing_ok=True)
    finally:
        claim.release()
    if not any(data_dir.iterdir()):
        data_dir.rmdir()
