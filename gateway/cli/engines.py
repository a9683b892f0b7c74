"""``smm-gateway embedded``: to another version of PostgreSQL, or to a server of one's own."""

import argparse
from dataclasses import asdict
from typing import Any

from gateway.backups.moving import Moved, Upgraded, export, upgrade
from gateway.cli.backups import run_to_its_end, tell
from gateway.cli.session import MASTER_KEYS_FILE, PEPPER_FILE, printing_flags, settings_of, show
from gateway.config import data_dir_of
from gateway.log import configure_logging


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("embedded", help="the bundled PostgreSQL: upgrade it, leave it")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    upgraded = verbs.add_parser(
        "upgrade", parents=[flags], help="bring the data to the bundled version of PostgreSQL"
    )
    upgraded.set_defaults(run=_upgrade)
    exported = verbs.add_parser(
        "export", parents=[flags], help="copy the data to a PostgreSQL server of your own"
    )
    exported.add_argument("--to", metavar="URL", required=True, help="an empty database")
    exported.set_defaults(run=_export)


def _upgrade(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    configure_logging("warning", settings.log.format)
    done = run_to_its_end(upgrade(data_dir_of(settings).absolute(), tell))
    if done is None:
        show(arguments, None, text=lambda: "the data is of the bundled version already")
    else:
        show(arguments, {**asdict(done), "kept": str(done.kept)}, text=lambda: _upgraded(done))
    return 0


def _upgraded(done: Upgraded) -> str:
    return "\n".join(
        [
            f"PostgreSQL {done.before} is now {done.after}: {_moved(done)}",
            f"the old data is kept: {done.kept}",
            "delete it when all is well",
        ]
    )


def _moved(moved: Moved) -> str:
    return f"{moved.rows} rows in {moved.tables} tables, audit ok"


def _export(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    configure_logging("warning", settings.log.format)
    data_dir = data_dir_of(settings).absolute()
    moved = run_to_its_end(export(data_dir, arguments.to, tell))
    lines = [
        f"copied: {_moved(moved)}",
        "the data directory is as it was; from now on set",
        "  SMM_DATABASE__URL    to that URL",
        "  SMM_REDIS__URL       to a Redis or Valkey server",
    ]
    if settings.security.pepper is None and (pepper := data_dir / PEPPER_FILE).exists():
        lines.append(f"  SMM_SECURITY__PEPPER to what is in {pepper}")
    if settings.security.master_keys is None and (keys := data_dir / MASTER_KEYS_FILE).exists():
        lines.append(f"  SMM_SECURITY__MASTER_KEYS to what is in {keys}")
    show(arguments, asdict(moved), text=lambda: "\n".join(lines))
    return 0
