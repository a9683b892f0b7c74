"""The whole examination, in the order in which things depend on each other."""

from datetime import timedelta
from pathlib import Path

from gateway.alerts.watching import standing
from gateway.config import Settings, data_dir_of, require_master_keys
from gateway.database import connect
from gateway.doctor import configuration, machine, outside, servers, state
from gateway.doctor.line import Level, Line, fail
from gateway.errors import UserError
from gateway.sealing import MasterKeys
from gateway.store import backups, facts, processes, providers
from gateway.store.connection import Pool


def examine_here(
    given: Settings, used: Settings, config: Path | None, private: list[str]
) -> list[Line]:
    """Settings, secrets and disks of this machine.

    ``given`` are the settings alone, ``used`` those with what was generated in the data directory,
    where the ``private`` files are.
    """
    data_dir = data_dir_of(used)
    folders = [("data", data_dir), ("spool", data_dir / "spool")]
    if (data_dir / "backups").exists():
        folders.append(("backups", data_dir / "backups"))
    if used.backup.archive_dir is not None:
        folders.append(("archive", used.backup.archive_dir))
    made_here = given.security.pepper is None and used.security.pepper is not None
    return [
        *configuration.of_listeners(used.http, used.internal),
        *configuration.of_console(used.ops),
        *configuration.of_secrets(used.security, made_here=made_here),
        *machine.of_files(
            [data_dir / name for name in private], config, configuration.secrets_in(given)
        ),
        *machine.of_folders(folders),
    ]


async def examine_database(settings: Settings, url: str, *, offline: bool) -> list[Line]:
    """The database, and all that it knows of the gateway and its providers."""
    try:
        pool = await connect(settings, url)
    except UserError as error:
        return [fail("database", str(error), "nothing goes without it")]
    try:
        found = await servers.look_at_database(pool, embedded=settings.database.url is None)
        if any(line.check == "migrations" and line.level is Level.FAIL for line in found):
            return found
        return [*found, *await _examine_gateway(settings, pool, offline=offline)]
    finally:
        await pool.close()


async def _examine_gateway(settings: Settings, pool: Pool, *, offline: bool) -> list[Line]:
    too_old = timedelta(milliseconds=settings.backup.too_old_ms) or None
    async with pool.acquire() as conn:
        backup = await backups.get_backup_state(conn)
        living = await processes.list_processes(conn)
        audit = await facts.get_audit_state(conn)
        records = await providers.list_providers(conn)
    return [
        *state.of_processes(living, backup.now),
        state.of_audit(audit),
        state.of_backup(backup, too_old),
        *state.of_alerts(await standing(pool)),
        *configuration.of_rates(settings, [(one.name, one.currency) for one in records]),
        *await outside.look_at_providers(records, settings, _keys(settings), offline=offline),
    ]


def _keys(settings: Settings) -> MasterKeys | None:
    """The master keys; None where they are told to be missing already."""
    try:
        return require_master_keys(settings)
    except UserError:
        return None
