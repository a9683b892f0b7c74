"""``smm-gateway provider set`` and ``teach``: changes to an account that is there already."""

import argparse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import yaml

from gateway.catalogue import upstreams
from gateway.catalogue.upstream_secrets import HEADERS
from gateway.cli.session import run_with_database, show, warrant_of
from gateway.config import Settings, require_master_keys
from gateway.errors import UserError
from gateway.store.connection import Pool
from providers.account import BadAccount
from providers.base import Provider
from providers.errors import ProviderError
from providers.transport import Transport
from schemas.money import format_amount
from schemas.providers import ProviderRecord, ProviderTerms
from schemas.upstream import RefusalGroup

#: Headers may carry a second secret, and are sealed with their names.
_MASKED = "***"


class _Exact(yaml.SafeLoader):
    """YAML without floats."""


def _as_written(loader: _Exact, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Exact.add_constructor("tag:yaml.org,2002:float", _as_written)


def add_verbs(verbs: Any, flags: list[argparse.ArgumentParser]) -> None:
    """Add ``set`` and ``teach`` to the group."""
    changed = verbs.add_parser("set", parents=flags, help="change an account")
    changed.add_argument("name")
    changed.add_argument("--url", help="another address, used exactly as given")
    changed.add_argument("--key", help="another key")
    changed.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option, as for add"
    )
    changed.add_argument(
        "--unset", action="append", default=[], metavar="NAME", help="an option's default again"
    )
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, s, p)))
    teach = verbs.add_parser(
        "teach", parents=flags, help="decide what a panel means by words that nobody knew"
    )
    teach.add_argument("name")
    teach.add_argument("--text", required=True, help="the panel's words, whole")
    teach.add_argument(
        "--group",
        required=True,
        choices=[str(group) for group in RefusalGroup],
        help="whom it concerns: this order or its service (money back), the account (set aside), "
        "or nobody for long (later)",
    )
    teach.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _teach(a, s, p)))


def options_from(pairs: list[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs; values are read as YAML, so that numbers are numbers.

    A number with decimals stays the text that it is, because money may depend on it.

    Raises:
        UserError: for a pair without ``=``, or a value that cannot be read.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"--set {pair}: write NAME=VALUE")
        try:
            options[name.strip()] = yaml.load(value, _Exact)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError:
            raise UserError(f"--set {pair}: the value cannot be read") from None
    return options


@asynccontextmanager
async def speaking_to(settings: Settings, record: ProviderRecord) -> AsyncIterator[Provider]:
    """The adapter of an account; what the upstream does wrong becomes one clear line."""
    async with Transport(upstreams.timeouts(settings.dispatch)) as transport:
        try:
            yield upstreams.adapt(record, transport, require_master_keys(settings))[0]
        except (ProviderError, BadAccount) as error:
            raise UserError(f"{record.name}: {error}") from None


def account_fields(record: ProviderRecord) -> dict[str, object]:
    """An account as it is shown: without its key, and without the values of its headers."""
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "url": record.url,
        "currency": record.currency,
        "options": _shown(record),
        "held": record.held_reason if record.holds else None,
        "paused": record.paused_reason,
        "balance": None if record.balance is None else format_amount(record.balance),
    }


def _shown(record: ProviderRecord) -> dict[str, Any]:
    return record.options | ({HEADERS: _MASKED} if HEADERS in record.secrets else {})


async def _set(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    given = options_from(arguments.set)
    if not given and not arguments.unset and arguments.url is None and arguments.key is None:
        raise UserError("nothing to change: give --set, --unset, --url or --key")

    def change(terms: ProviderTerms) -> ProviderTerms:
        return replace(
            terms,
            url=terms.url if arguments.url is None else arguments.url,
            key=terms.key if arguments.key is None else arguments.key,
            options=_without(terms.options, arguments.unset) | given,
        )

    async with Transport(upstreams.timeouts(settings.dispatch)) as transport:
        changed = await upstreams.change_provider(
            pool,
            transport,
            arguments.name,
            change,
            settings,
            require_master_keys(settings),
            warrant_of(arguments),
        )
    show(arguments, account_fields(changed))
    return 0


def _without(options: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    missing = [name for name in names if name not in options]
    if missing:
        known = ", ".join(sorted(options)) or "none"
        raise UserError(f"--unset {missing[0]}: the account does not set it; it sets: {known}")
    return {name: value for name, value in options.items() if name not in names}


async def _teach(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    group = RefusalGroup(arguments.group)

    def change(terms: ProviderTerms) -> ProviderTerms:
        return upstreams.taught(terms, arguments.text, group)

    async with Transport(upstreams.timeouts(settings.dispatch)) as transport:
        changed = await upstreams.change_provider(
            pool,
            transport,
            arguments.name,
            change,
            settings,
            require_master_keys(settings),
            warrant_of(arguments),
        )
    show(arguments, account_fields(changed))
    return 0
