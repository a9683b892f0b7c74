"""``smm-gateway doctor``."""

import argparse
import asyncio
from dataclasses import asdict
from typing import Any

from gateway.cli.session import (
    MASTER_KEYS_FILE,
    PEPPER_FILE,
    addresses_of,
    printing_flags,
    settings_of,
    show,
    with_kept_secrets,
)
from gateway.config import Settings, config_file
from gateway.doctor.examining import examine_database, examine_here
from gateway.doctor.line import Level, Line, fail
from gateway.doctor.outside import look_at_channels
from gateway.doctor.servers import look_at_valkey
from gateway.embedded import EmbeddedError
from gateway.errors import UserError
from gateway.log import configure_logging

#: Files of the data directory that only their owner may read.
_PRIVATE = [PEPPER_FILE, MASTER_KEYS_FILE, "secrets.json"]


def add_commands(commands: Any) -> None:
    """Add the command to the command line."""
    looked = commands.add_parser(
        "doctor", parents=[printing_flags()], help="look at a deployment before it goes live"
    )
    looked.add_argument(
        "--offline", action="store_true", help="ask no provider and no channel of alerts"
    )
    looked.set_defaults(run=_look)


def _look(arguments: argparse.Namespace) -> int:
    given = settings_of(arguments)
    configure_logging("error", given.log.format)
    used = with_kept_secrets(given)
    here = examine_here(given, used, config_file(arguments.config), _PRIVATE)
    lines = [*here, *asyncio.run(_look_outside(used, offline=arguments.offline))]
    well = all(line.level is not Level.FAIL for line in lines)
    show(
        arguments,
        {"ok": well, "lines": [asdict(line) for line in lines]},
        text=lambda: "\n".join([*map(_line, lines), _verdict(lines)]),
    )
    return 0 if well else 1


async def _look_outside(settings: Settings, *, offline: bool) -> list[Line]:
    try:
        addresses = addresses_of(settings)
    except (UserError, EmbeddedError) as error:
        servers = [fail("database", str(error), "start the gateway, or set database.url")]
    else:
        servers = [
            *await examine_database(settings, addresses.database_url, offline=offline),
            await look_at_valkey(addresses.redis_url),
        ]
    return [*servers, *await look_at_channels(settings, offline=offline)]


def _line(line: Line) -> str:
    text = f"{line.level:<4}  {line.check:<18}  {line.words}"
    return f"{text}\n{'':<26}▸ {line.cure}" if line.cure else text


def _verdict(lines: list[Line]) -> str:
    fails = sum(line.level is Level.FAIL for line in lines)
    warns = sum(line.level is Level.WARN for line in lines)
    if fails:
        return f"\nnot ready: {fails} to put right, {warns} to know of"
    return f"\nready, with {warns} to know of" if warns else "\nready"
