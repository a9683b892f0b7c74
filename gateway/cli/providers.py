"""``smm-gateway provider``."""

import argparse
from typing import Any

from gateway.catalogue import syncing, upstreams
from gateway.cli import probing, provider_funds, upstream_accounts
from gateway.cli.changes import planned
from gateway.cli.session import (
    acting_flags,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.cli.upstream_accounts import account_fields, options_from, speaking_to
from gateway.config import Settings, require_master_keys
from gateway.store import providers as store
from gateway.store.connection import Pool
from providers.registry import provider_kinds
from providers.transport import Transport


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags, acting = printing_flags(), acting_flags()
    group = commands.add_parser("provider", help="upstream panel accounts")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    add = verbs.add_parser("add", parents=[flags, acting], help="connect an account")
    add.add_argument("name")
    add.add_argument("--kind", default="panel_v2", help=f"one of {', '.join(provider_kinds())}")
    add.add_argument("--url", default="", help="the panel's endpoint, used exactly as given")
    add.add_argument("--key", default="", help="our key at that panel")
    add.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option, like adds_per_minute=600 or in_flight=10",
    )
    add.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _add(a, s, p)))
    listed = verbs.add_parser("list", parents=[flags], help="all accounts")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    balance = verbs.add_parser("balance", parents=[flags], help="what an account holds there")
    balance.add_argument("name")
    balance.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _balance(a, s, p)))
    sync = verbs.add_parser(
        "sync", parents=[flags, acting], help="take over what its catalogue says"
    )
    sync.add_argument("name")
    sync.add_argument("--dry-run", action="store_true", help="only say what would change")
    sync.add_argument(
        "--accept-smaller",
        action="store_true",
        help="believe a catalogue that lost more than half of its services",
    )
    sync.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _sync(a, s, p)))
    paused = verbs.add_parser(
        "pause",
        parents=[flags, acting_flags(reason=True)],
        help="send it nothing; orders wait or move",
    )
    paused.add_argument("name")
    paused.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _pause(a, p, paused=True)))
    resumed = verbs.add_parser("resume", parents=[flags, acting], help="end a pause")
    resumed.add_argument("name")
    resumed.set_defaults(
        run=lambda a: run_with_database(a, lambda s, p: _pause(a, p, paused=False))
    )
    provider_funds.add_verbs(verbs, flags, acting)
    upstream_accounts.add_verbs(verbs, [flags, acting])
    probing.add_verbs(verbs, flags)


async def _add(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with (
        Transport(upstreams.timeouts(settings.dispatch)) as transport,
        pool.acquire() as conn,
    ):
        made = await upstreams.add_provider(
            conn,
            transport,
            name=arguments.name,
            kind=arguments.kind,
            url=arguments.url,
            key=arguments.key,
            options=options_from(arguments.set),
            settings=settings,
            keys=require_master_keys(settings),
            warrant=warrant_of(arguments),
        )
    show(arguments, account_fields(made))
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        show(arguments, [account_fields(r) for r in await store.list_providers(conn)])
    return 0


async def _pause(arguments: argparse.Namespace, pool: Pool, *, paused: bool) -> int:
    async with pool.acquire() as conn:
        record = await upstreams.pause_provider(
            conn, arguments.name, warrant_of(arguments), paused=paused
        )
    show(arguments, account_fields(record))
    return 0


async def _balance(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with pool.acquire() as conn:
        record = await upstreams.find_provider(conn, arguments.name)
    async with speaking_to(settings, record) as provider:
        balance = await provider.balance()
    show(
        arguments,
        {
            "name": record.name,
            "balance": f"{balance.amount:f}",
            "currency": balance.currency or record.currency,
        },
    )
    return 0


async def _sync(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with pool.acquire() as conn:
        record = await upstreams.find_provider(conn, arguments.name)
    async with speaking_to(settings, record) as provider:
        catalogue = await provider.services()
        done = await syncing.sync_catalogue(
            pool,
            record,
            catalogue,
            settings,
            dry_run=arguments.dry_run,
            accept_smaller=arguments.accept_smaller,
            warrant=warrant_of(arguments),
        )
    show(arguments, [planned(change) for change in done.changes])
    return 0
