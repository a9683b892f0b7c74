"""``smm-gateway audit`` and ``smm-gateway migrate``."""

import argparse
import asyncio
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.cli.session import (
    database_url_of,
    number,
    printing_flags,
    run_with_database,
    settings_of,
    show,
    with_kept_secrets,
)
from gateway.config import Settings, data_dir_of
from gateway.database import migrate_database
from gateway.money.audit import Audit, Finding, audit
from gateway.money.watching import Watched, watch
from gateway.quarantine import list_quarantined, quarantine_of
from gateway.store.connection import TRANSIENT, Pool

_TOLD_BY = "see `smm-gateway order show`; resolve the order, then delete the file"


def add_commands(commands: Any) -> None:
    """Add both commands to the command line."""
    flags = printing_flags()
    audited = commands.add_parser("audit", parents=[flags], help="prove that the books are right")
    audited.add_argument(
        "--watch", action="store_true", help="again and again, what has changed since"
    )
    audited.add_argument(
        "--every", type=number, default=300, metavar="SECONDS", help="with --watch (300)"
    )
    audited.set_defaults(
        run=lambda a: run_with_database(
            a, lambda s, p: _watch(a, s, p) if a.watch else _audit(a, s, p)
        )
    )
    migrated = commands.add_parser("migrate", parents=[flags], help="bring the database up to date")
    migrated.set_defaults(run=_migrate)


async def _watch(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    while True:
        try:
            done = await watch(pool, 0)
        except TRANSIENT as error:
            kind = type(error).__name__
            print(f"smm-gateway: not audited ({kind}: {error}), trying again", file=sys.stderr)
            done = None
        if done is not None:
            found = _with_quarantine(settings, done.found)
            show(
                arguments,
                {
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "orders": done.orders,
                    "ms": done.watch.elapsed_ms,
                }
                | _value(found),
                text=partial(_line, done, found),
            )
            sys.stdout.flush()
        behind = done is not None and done.watch.behind
        await asyncio.sleep(1 if behind or done is None else arguments.every)


def _line(done: Watched, found: Audit) -> str:
    at = datetime.now(UTC).strftime("%H:%M:%S")
    looked = f"{at}  {done.orders} orders in {done.watch.elapsed_ms} ms"
    return f"{looked}\n{_report(found)}"


async def _audit(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    found = _with_quarantine(settings, await audit(pool))
    show(
        arguments,
        _value(found),
        text=lambda: _report(found),
    )
    return 0 if found.ok else 1


def _with_quarantine(settings: Settings, found: Audit) -> Audit:
    """What was found, with the files of this machine's quarantine among the warnings."""
    kept = list_quarantined(quarantine_of(data_dir_of(settings) / "spool"))
    meaning = "no answer of an upstream waits for a defect to be mended"
    told = [Finding("quarantine", meaning, f"{one}: {_TOLD_BY}") for one in kept]
    return replace(found, warnings=(*found.warnings, *told))


def _value(found: Audit) -> dict[str, object]:
    return {
        "ok": found.ok,
        "broken": [asdict(finding) for finding in found.broken],
        "warnings": [asdict(finding) for finding in found.warnings],
    }


def _report(found: Audit) -> str:
    lines = [f"BROKEN   {f.check}: {f.row} ({f.meaning})" for f in found.broken]
    lines += [f"warning  {f.row}" for f in found.warnings]
    verdict = "ok: every invariant holds" if found.ok else f"{len(found.broken)} rows are broken"
    return "\n".join([*lines, verdict])


def _migrate(arguments: argparse.Namespace) -> int:
    settings = with_kept_secrets(settings_of(arguments))
    applied = asyncio.run(migrate_database(settings, database_url_of(settings)))
    show(
        arguments,
        applied,
        text=lambda: f"applied: {', '.join(applied)}" if applied else "nothing to apply",
    )
    return 0
