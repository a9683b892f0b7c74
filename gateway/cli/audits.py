"""``smm-gateway audit`` and ``smm-gateway migrate``."""

import argparse
import asyncio
from dataclasses import asdict
from typing import Any

from gateway.cli.session import addresses_of, printing_flags, run_with_database, settings_of, show
from gateway.database import migrate_database
from gateway.money.audit import Audit, audit
from gateway.store.connection import Pool


def add_commands(commands: Any) -> None:
    """Add both commands to the command line."""
    flags = printing_flags()
    audited = commands.add_parser("audit", parents=[flags], help="prove that the books are right")
    audited.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _audit(a, p)))
    migrated = commands.add_parser("migrate", parents=[flags], help="bring the database up to date")
    migrated.set_defaults(run=_migrate)


async def _audit(arguments: argparse.Namespace, pool: Pool) -> int:
    found = await audit(pool)
    show(
        arguments,
        {
            "ok": found.ok,
            "broken": [asdict(finding) for finding in found.broken],
            "warnings": [asdict(finding) for finding in found.warnings],
        },
        text=lambda: _report(found),
    )
    return 0 if found.ok else 1


def _report(found: Audit) -> str:
    lines = [f"BROKEN   {f.check}: {f.row} ({f.meaning})" for f in found.broken]
    lines += [f"warning  {f.row}" for f in found.warnings]
    verdict = "ok: every invariant holds" if found.ok else f"{len(found.broken)} rows are broken"
    return "\n".join([*lines, verdict])


def _migrate(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)

    url = addresses_of(settings).database_url
    applied = asyncio.run(migrate_database(settings, url))
    show(
        arguments,
        applied,
        text=lambda: f"applied: {', '.join(applied)}" if applied else "nothing to apply",
    )
    return 0
