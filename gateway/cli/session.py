"""What every command shares: its flags, its settings, its database, and how it prints."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from gateway.config import Settings, data_dir_of, load_settings
from gateway.database import connect, require_migrated
from gateway.embedded import Addresses, running_addresses
from gateway.embedded.files import write_private
from gateway.errors import UserError
from gateway.log import configure_logging
from gateway.operators.acting import at_the_command_line
from gateway.redaction import hold_settings
from gateway.sealing import new_key
from gateway.store.connection import Pool
from schemas.money import BadAmount, Micros, parse_amount, parse_rate
from schemas.operators import Warrant

PEPPER_FILE = "pepper"
MASTER_KEYS_FILE = "master_keys"


def common_flags() -> argparse.ArgumentParser:
    """Flags that every command takes."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, instead of config.yaml"
    )
    flags.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where embedded engines keep their data"
    )
    return flags


def printing_flags() -> argparse.ArgumentParser:
    """Flags of commands that print data."""
    flags = common_flags()
    flags.add_argument("--json", action="store_true", help="print one JSON value")
    return flags


def acting_flags(*, reason: bool = False) -> argparse.ArgumentParser:
    """Flags of commands that change something; with ``reason`` they need one."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--reason", required=reason, help="why; kept in the operators' log")
    flags.add_argument(
        "--request", metavar="ID", help="any text of your own: a repeat with it changes nothing"
    )
    return flags


def warrant_of(arguments: argparse.Namespace) -> Warrant:
    """Who works at the command line, with the reason and the request that they gave."""
    reason: str | None = arguments.reason
    return Warrant(at_the_command_line(), reason and reason.strip(), arguments.request)


def number(text: str) -> int:
    """An id or a limit on the command line, within what the database can hold.

    Raises:
        argparse.ArgumentTypeError, ValueError: for anything else; both end as a usage error.
    """
    value = int(text)
    if not 0 < value < 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not within 1 to {2**31 - 1}")
    return value


def settings_of(arguments: argparse.Namespace, **flags: Any) -> Settings:
    """The settings of a command: file, environment, then its flags."""
    if arguments.data_dir is not None:
        flags["data_dir"] = arguments.data_dir
    return load_settings(arguments.config, **flags)


def amount(text: str, flag: str = "") -> Micros:
    """An amount of money on the command line, 0 or more; ``flag`` is what it was given with.

    Raises:
        UserError: when it is none.
    """
    try:
        return parse_amount(text)
    except BadAmount as error:
        raise UserError(f"{flag} {text}: {error}" if flag else str(error)) from None


def rate(text: str, flag: str) -> Micros:
    """A price per 1,000 on the command line, as ``amount``. Raises ``UserError``."""
    try:
        return parse_rate(text)
    except BadAmount as error:
        raise UserError(f"{flag} {text}: {error}") from None


def addresses_of(settings: Settings) -> Addresses:
    """The configured servers, else the embedded engines that run on the data directory.

    Raises:
        EnginesNotRunning: when neither is there.
    """
    database, redis = settings.database.url, settings.redis.url
    if database is None:
        return running_addresses(data_dir_of(settings))
    if redis is None:
        raise UserError("database.url is set but redis.url is not: name a Redis or Valkey server")
    return Addresses(database.get_secret_value(), redis.get_secret_value())


def with_kept_secrets(settings: Settings) -> Settings:
    """The settings with what was generated in the data directory, where nothing is configured."""
    kept: dict[str, SecretStr] = {}
    for name, file in (("pepper", PEPPER_FILE), ("master_keys", MASTER_KEYS_FILE)):
        path = data_dir_of(settings) / file
        if getattr(settings.security, name) is None and path.is_file():
            kept[name] = SecretStr(path.read_text(encoding="ascii").strip())
    security = settings.security.model_copy(update=kept)
    hold_settings(security)
    return settings.model_copy(update={"security": security})


def keep_master_key(settings: Settings) -> Settings:
    """Settings for embedded engines: a master key is made in their data directory if none is."""
    found = with_kept_secrets(settings)
    if found.security.master_keys is None:
        write_private(data_dir_of(settings) / MASTER_KEYS_FILE, new_key() + "\n")
        found = with_kept_secrets(settings)
    return found


def database_url_of(settings: Settings) -> str:
    """The configured database, else the embedded one: all that a command needs.

    Raises:
        EnginesNotRunning: when neither is there.
    """
    url = settings.database.url
    return (
        running_addresses(data_dir_of(settings)).database_url
        if url is None
        else (url.get_secret_value())
    )


@asynccontextmanager
async def open_database(settings: Settings, *, owner: bool = False) -> AsyncIterator[Pool]:
    """A pool on the migrated database of these settings; as its ``owner`` where that is set."""
    url = settings.database.migration_url if owner else None
    pool = await connect(settings, url.get_secret_value() if url else database_url_of(settings))
    try:
        await require_migrated(pool)
        yield pool
    finally:
        await pool.close()


def run_with_database(
    arguments: argparse.Namespace,
    work: Callable[[Settings, Pool], Awaitable[int]],
    *,
    owner: bool = False,
) -> int:
    """Run an asynchronous command on the database, as its owner if it changes tables."""
    settings = with_kept_secrets(settings_of(arguments))
    # A command says itself what it did.
    configure_logging("warning", settings.log.format)

    async def run() -> int:
        async with open_database(settings, owner=owner) as pool:
            return await work(settings, pool)

    return asyncio.run(run())


def show(
    arguments: argparse.Namespace, value: Any, *, text: Callable[[], str] | None = None
) -> None:
    """Print a value: as JSON with ``--json``, else as ``text`` or as a table or list of fields."""
    if arguments.json:
        print(json.dumps(value, ensure_ascii=False))
    elif text is not None:
        print(text())
    elif isinstance(value, Mapping):
        print(_fields(value))
    else:
        print(_table(value))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_cell(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "-"
    return " ".join(str(value).split())


def _fields(value: Mapping[str, object]) -> str:
    width = max(map(len, value))
    return "\n".join(f"{name:<{width}}  {_cell(item)}" for name, item in value.items())


def _table(rows: Iterable[Mapping[str, object]]) -> str:
    listed = list(rows)
    if not listed:
        return "none"
    heads = list(listed[0])
    cells = [heads, *([_short(_cell(row[head])) for head in heads] for row in listed)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join(_line(line, widths) for line in cells)


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
