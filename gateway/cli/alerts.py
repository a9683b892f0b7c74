"""``smm-gateway alert``: what is wrong now, and whether operators can be reached."""

import argparse
import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

from gateway.alerts.channels import open_outlets, trial
from gateway.alerts.outlet import NotDelivered, Outlet
from gateway.alerts.watching import standing
from gateway.alerts.wording import command, runbook
from gateway.cli.session import printing_flags, run_with_database, settings_of, show
from gateway.config import Settings
from gateway.errors import UserError
from gateway.log import configure_logging
from gateway.store.connection import Pool
from schemas.alerts import Alert, Undelivered


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("alert", help="what is wrong now, and who is told of it")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="what is wrong now")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    tried = verbs.add_parser("test", parents=[flags], help="a test message by each channel")
    tried.set_defaults(run=_test)


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    now = await standing(pool)
    show(arguments, [_row(alert, now.undelivered) for alert in now.alerts])
    return 0


def _row(alert: Alert, undelivered: list[Undelivered]) -> dict[str, Any]:
    waiting = [
        f"{one.channel}: {one.failure or 'on its way'}"
        for one in undelivered
        if (one.kind, one.subject) == (alert.kind, alert.subject)
    ]
    return {
        "alert": alert.kind,
        "subject": alert.subject or None,
        "summary": alert.summary,
        "since": alert.since.isoformat(timespec="seconds"),
        "told_at": alert.told_at.isoformat(timespec="seconds") if alert.told_at else None,
        "gone_at": alert.gone_at.isoformat(timespec="seconds") if alert.gone_at else None,
        "undelivered": waiting,
        "command": command(alert.kind),
        "runbook": runbook(alert.kind),
    }


def _test(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    configure_logging("warning", settings.log.format)
    if not settings.alerts.channels:
        raise UserError(
            "no channel is set up: set alerts.telegram, alerts.email or alerts.webhook "
            "(docs/alerts.md)"
        )
    tried = asyncio.run(_try_all(settings))
    show(arguments, tried)
    return 0 if all(row["delivered"] for row in tried) else 1


async def _try_all(settings: Settings) -> list[dict[str, Any]]:
    async with open_outlets(settings.alerts) as outlets:
        return await asyncio.gather(*map(_try, outlets))


async def _try(outlet: Outlet) -> dict[str, Any]:
    message = trial(f"msg_{secrets.token_hex(12)}", datetime.now(UTC))
    try:
        answer, delivered = await outlet.send(message), True
    except NotDelivered as failed:
        answer, delivered = str(failed), False
    return {"channel": outlet.channel, "delivered": delivered, "answer": answer}
