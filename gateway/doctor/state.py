"""What the database knows of how the gateway is run: processes, audit, backups, alerts. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from gateway.alerts.conditions import SILENT_AFTER, duration
from gateway.alerts.watching import Standing
from gateway.doctor.line import Line, fail, ok, warn
from gateway.store.facts import AuditState, BackupState, ProcessState


def of_processes(processes: Sequence[ProcessState], now: datetime) -> Iterable[Line]:
    """Whether somebody answers resellers, and somebody sends orders."""
    alive = [process for process in processes if now - process.beat_at <= SILENT_AFTER]
    for work, roles in (("answer resellers", ("all", "web")), ("send orders", ("all", "worker"))):
        number = sum(process.role in roles for process in alive)
        if number:
            yield ok("processes", f"{number} to {work}")
        else:
            cure = "start `smm-gateway serve` (docs/processes.md)"
            yield fail("processes", f"none to {work}", cure)
    versions = sorted({process.version for process in alive})
    if len(versions) > 1:
        yield warn("processes", f"they are of versions {', '.join(versions)}", "end the upgrade")
    for silent in processes:
        if silent not in alive:
            age = duration(now - silent.beat_at)
            yield warn(
                "processes",
                f"{silent.role} {silent.pid} on {silent.host} has said nothing for {age}",
                "it was killed or hangs: see its log; it is forgotten in a day if it held nothing",
            )
    for process in processes:
        name = f"{process.role} {process.pid} on {process.host}"
        if process.spool_entries:
            yield warn(
                "spool",
                f"{name} holds {process.spool_entries} entries that the database could not be told",
                "see its log (spool.*), and docs/runbook.md#spool-holds-entries",
            )
        if process.quarantined:
            yield warn(
                "spool",
                f"{name} has {process.quarantined} entries in quarantine: a defect keeps them from "
                "the database",
                "`smm-gateway audit` names them; docs/runbook.md#spool-quarantined",
            )


def of_audit(audit: AuditState) -> Line:
    """Whether the books are right."""
    if audit.broken:
        return fail("audit", f"{audit.broken} rows are broken", "smm-gateway audit")
    if audit.ran_at is None:
        return ok("audit", "it has not run yet: it begins with the gateway")
    return ok("audit", "the last run found nothing broken")


def of_backup(backup: BackupState, too_old: timedelta | None) -> Line:
    """Whether there is a young backup that was proven."""
    if too_old is None:
        return ok("backup", "left to tools of your own (backup.too_old_ms is 0)")
    cure = "each night `smm-gateway backup create` and `backup verify` (docs/backup.md)"
    if backup.finished_at is None:
        return fail("backup", "none was ever made", cure)
    age = backup.now - backup.finished_at
    if age > too_old:
        return fail("backup", f"the newest is {duration(age)} old", cure)
    if backup.verified_at is None:
        return warn("backup", "none was ever proven to restore", "smm-gateway backup verify PATH")
    return ok(
        "backup",
        f"the newest is {duration(age)} old, the newest proven one "
        f"{duration(backup.now - backup.verified_at)}",
    )


def of_alerts(now: Standing) -> Iterable[Line]:
    """What operators were told of, and what did not reach them."""
    told = [alert for alert in now.alerts if alert.told_at is not None]
    for alert in told:
        yield warn("alerts", f"{alert.kind}: {alert.summary}", f"docs/runbook.md#{alert.kind}")
    for lost in now.undelivered:
        if lost.failure is not None:
            yield warn(
                "alerts",
                f"{lost.channel} did not take {lost.kind} in {lost.tries} tries: {lost.failure}",
                "smm-gateway alert test",
            )
    if not told:
        yield ok("alerts", "none is open")
