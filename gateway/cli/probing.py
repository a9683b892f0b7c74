"""``smm-gateway provider probe``."""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from gateway.catalogue import upstreams
from gateway.catalogue.upstream_secrets import opened
from gateway.cli.session import number, run_with_database, show
from gateway.config import Settings, require_master_keys
from gateway.errors import UserError
from gateway.store.connection import Pool
from providers.findings import Finding, Report
from providers.probing import ListeningTransport, Questions, probe
from schemas.upstream import Submission

_MOST_ORDERS = 20


def add_verbs(verbs: Any, flags: argparse.ArgumentParser) -> None:
    """Add ``probe`` to the group."""
    asked = verbs.add_parser(
        "probe",
        parents=[flags],
        help="find out how a panel wants to be spoken to, with calls that only read",
    )
    asked.add_argument("name")
    asked.add_argument(
        "--orders", default="", metavar="ID,ID", help="orders of this account at the panel"
    )
    asked.add_argument(
        "--pause", type=_seconds, default=1.0, metavar="SECONDS", help="between two calls (1)"
    )
    asked.add_argument("--test-service", metavar="ID", help="place one real order, which is paid")
    asked.add_argument("--test-link", metavar="URL", help="its link")
    asked.add_argument("--test-quantity", type=number, metavar="N", help="its quantity")
    asked.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _probe(a, s, p)))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 to 60")
    return value


async def _probe(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    questions = _questions(arguments)
    async with pool.acquire() as conn:
        record = await upstreams.find_provider(conn, arguments.name)
    progress = sys.stderr if arguments.json else sys.stdout

    def tell(finding: Finding) -> None:
        print(_line(finding), file=progress, flush=True)

    async def pause() -> None:
        await asyncio.sleep(arguments.pause)

    timeouts = upstreams.timeouts(settings.dispatch)
    async with ListeningTransport(timeouts, pause) as transport:
        account = upstreams.account_of(opened(record, require_master_keys(settings)))
        report = await probe(record.kind, account, transport, questions, tell)
    show(arguments, _fields(record.name, report), text=lambda: _advice(record.name, report))
    return 0 if report.works else 1


def _questions(arguments: argparse.Namespace) -> Questions:
    orders = [order.strip() for order in arguments.orders.split(",") if order.strip()]
    if len(orders) > _MOST_ORDERS:
        raise UserError(f"--orders: {_MOST_ORDERS} orders are enough")
    given = (arguments.test_service, arguments.test_link, arguments.test_quantity)
    if any(value is not None for value in given) and None in given:
        raise UserError("a test order needs --test-service, --test-link and --test-quantity")
    if arguments.test_service is None:
        return Questions(orders)
    parameters = {"link": arguments.test_link, "quantity": str(arguments.test_quantity)}
    return Questions(orders, Submission(arguments.test_service, parameters))


def _line(finding: Finding) -> str:
    took = "" if finding.ms is None else f"  [{finding.ms} ms]"
    return f"{finding.point}: {finding.result}{took}"


def _fields(name: str, report: Report) -> dict[str, object]:
    return {
        "name": name,
        "works": report.works,
        "findings": [{"point": f.point, "result": f.result, "ms": f.ms} for f in report.findings],
        "options": report.options,
        "unset": report.unset,
        "url": report.url,
        "teach": {text: str(group) for text, group in report.teach.items()},
        "command": _command(name, report),
    }


def _advice(name: str, report: Report) -> str:
    if not report.works:
        return (
            "\nNo way to call this panel worked: check the address, the key, and whether the "
            "panel allows this machine's IP."
        )
    command = _command(name, report)
    lines = ["", command or "The account is configured as this panel needs it."]
    if report.teach:
        lines.append("Words that we do not know; teach them if you agree with the group:")
        lines += [
            f"smm-gateway provider teach {shlex.quote(name)} --text {shlex.quote(text)} "
            f"--group {group}"
            for text, group in report.teach.items()
        ]
    return "\n".join(lines)


def _command(name: str, report: Report) -> str | None:
    """The command that configures the account, ready to paste; None when nothing is needed."""
    parts = ["smm-gateway", "provider", "set", name]
    if report.url is not None:
        parts += ["--url", report.url]
    for option, value in report.options.items():
        text = json.dumps(value) if isinstance(value, Mapping) else str(value)
        parts += ["--set", f"{option}={text}"]
    for option in report.unset:
        parts += ["--unset", option]
    return shlex.join(parts) if len(parts) > 4 else None
