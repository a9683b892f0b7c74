"""Makes a data directory of a base backup: copies it, replays its WAL, gives it new passwords."""

import os
import shutil
import signal
from datetime import datetime
from pathlib import Path

from gateway.embedded.archive import restore_command
from gateway.embedded.binaries import Binaries
from gateway.embedded.child import Child
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.place import Place
from gateway.embedded.postgres import APPLICATION, STOP_SIGNALS
from gateway.embedded.state import SUPERUSER, Secrets

# The server that was copied may have let in others, from elsewhere.
HBA = """\
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""
TOO_EARLY = "recovery ended before configured recovery target was reached"
WAIT_SECONDS = 3600.0


def copy_data(source: Path, place: Place) -> None:
    """Copy the files of a base backup to ``place``, as the engine user's."""
    shutil.copytree(source, place.pgdata)
    (place.pgdata / "pg_hba.conf").write_text(HBA)
    for name in ("postgresql.conf", "postgresql.auto.conf", "pg_ident.conf"):
        (place.pgdata / name).write_text("")
    for folder, _, files in os.walk(place.pgdata):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            path.chmod(0o700 if path.is_dir() else 0o600)
            if place.user:
                os.chown(path, place.user.uid, place.user.gid)


async def recover(
    place: Place,
    binaries: Binaries,
    secrets: Secrets,
    *,
    database: str,
    owner: str,
    archive: Path | None = None,
    until: datetime | None = None,
) -> None:
    """Replay what a copied backup holds of WAL; with ``archive`` also what is there.

    That goes on until the moment ``until``, or to the archive's end. The server is run alone,
    without a listener, because nobody knows the passwords that it has; afterwards they are
    ``secrets``, and the ``database``, whose tables belong to ``owner``, is the embedded one.
    Raises EmbeddedError.
    """
    options = {"hot_standby": "off", "listen_addresses": "", "unix_socket_directories": ""}
    if archive is not None:
        _write(place, "recovery.signal", "")
        options |= {
            "restore_command": restore_command(archive),
            "recovery_target_action": "promote",
            "recovery_target_timeline": "latest",
        }
    if until is not None:
        options["recovery_target_time"] = until.isoformat()
    command = [str(binaries.postgres / "postgres"), "--single", "-D", str(place.pgdata)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log = place.home / "postgres.log"
    child = Child.spawn(
        [*command, "template1"],
        place=place,
        log=log,
        death_signal=signal.SIGQUIT,
        stdin=_adoption(secrets, database, owner),
    )
    try:
        while await child.wait(WAIT_SECONDS) is None:
            pass
    finally:
        if child.exit_code() is None:
            await child.stop(STOP_SIGNALS)
    if child.wrote_any([TOO_EARLY]):
        raise EmbeddedError(
            f"the archive {archive} ends before {until}: nothing that was written later was kept"
        )
    # The server alone goes on after an error, and its exit code is none of it.
    errors = [line for line in child.output() if "ERROR:" in line]
    if child.exit_code() != 0 or errors:
        reason = errors[-1].partition("ERROR:")[2].strip() if errors else child.last_words()
        raise EmbeddedError(f"PostgreSQL could not recover the backup: {reason}")


def _write(place: Place, name: str, text: str) -> None:
    path = place.pgdata / name
    path.write_text(text)
    path.chmod(0o600)
    if place.user:
        os.chown(path, place.user.uid, place.user.gid)


def _adoption(secrets: Secrets, database: str, owner: str) -> str:
    """One statement a line, as the server alone reads them."""
    lines = []
    for role, rights, password in (
        (SUPERUSER, "superuser", secrets.superuser),
        (APPLICATION, "createdb", secrets.database),
    ):
        missing = f"not exists (select from pg_roles where rolname = '{role}')"
        lines.append(f"do $$ begin if {missing} then create role {role}; end if; end $$")
        lines.append(f"alter role {role} login {rights} password '{password}'")
    if owner != APPLICATION:
        # Members of a role may do what it may with what it owns.
        lines.append(f"grant {_name(owner)} to {APPLICATION}")
    if database != APPLICATION:
        # A server of many databases may have one of our name.
        taken = f"exists (select from pg_database where datname = '{APPLICATION}')"
        aside = f"alter database {APPLICATION} rename to {APPLICATION}_other"
        lines.append(f"do $$ begin if {taken} then {aside}; end if; end $$")
        lines.append(f"alter database {_name(database)} rename to {APPLICATION}")
    return "".join(f"{line}\n" for line in lines)


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
