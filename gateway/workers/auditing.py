"""The audit in the background: run by one process at a time, shown by all."""

import time
from itertools import groupby

import structlog

from gateway.metrics import (
    AUDIT_AGE,
    AUDIT_SECONDS,
    AUDIT_VIOLATIONS,
    AUDIT_WARNINGS,
)
from gateway.money.audit import Finding
from gateway.money.watching import Watched, last_run, watch
from gateway.store.connection import Pool

log = structlog.get_logger()

_LOOK_SECONDS = 10.0
_BEHIND_SECONDS = 1.0
_SHOWN = 20


class BackgroundAudit:
    """Runs the watching audit when it is due, and shows what the last run has found.

    On a database that it never ran on it begins one interval after the process.
    """

    def __init__(self, pool: Pool, every_ms: int) -> None:
        self._pool = pool
        self._every_ms = every_ms
        self._began = time.monotonic()

    async def work(self) -> float:
        """One look whether it is due; the seconds until the next one."""
        last = await last_run(self._pool)
        if last.age_ms is None and (time.monotonic() - self._began) * 1000 < self._every_ms:
            return min(_LOOK_SECONDS, self._every_ms / 1000)
        if done := await watch(self._pool, self._every_ms):
            _tell(done)
            last = done.watch
        AUDIT_VIOLATIONS.set(last.broken)
        AUDIT_WARNINGS.set(last.warnings)
        AUDIT_SECONDS.set(last.elapsed_ms / 1000)
        AUDIT_AGE.set((last.age_ms or 0) / 1000)
        return _BEHIND_SECONDS if last.behind else min(_LOOK_SECONDS, self._every_ms / 1000)


def _tell(done: Watched) -> None:
    log.info(
        "audit.run", orders=done.orders, ms=done.watch.elapsed_ms, violations=done.watch.broken
    )
    for check, found in groupby(done.found.broken, key=_check):
        rows = [finding.row for finding in found]
        log.error(
            "audit.violated",
            check=check,
            number=len(rows),
            rows=rows[:_SHOWN],
            hint="run `smm-gateway audit`: it names all of them",
        )
    for check, found in groupby(done.found.warnings, key=_check):
        rows = [finding.row for finding in found]
        log.warning("audit.warned", check=check, number=len(rows), rows=rows[:_SHOWN])


def _check(finding: Finding) -> str:
    return finding.check
