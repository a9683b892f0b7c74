"""``smm-gateway service import``."""

import argparse
import re
from typing import Any

from gateway.catalogue import importing, upstreams
from gateway.catalogue.importing import Choice, Imported
from gateway.cli.jobs import show_asked
from gateway.cli.prices import percent
from gateway.cli.service_rows import brief, read_terms
from gateway.cli.session import acting_flags, run_with_database, show, warrant_of
from gateway.cli.upstream_accounts import speaking_to
from gateway.config import Settings
from gateway.operators.jobs import ask_for_job
from gateway.store import services as store
from gateway.store.connection import Pool
from schemas.catalogue import NewService
from schemas.jobs import JobKind
from schemas.money import format_amount


def add_command(verbs: Any, flags: argparse.ArgumentParser) -> None:
    """Add the verb to the group of services."""
    imported = verbs.add_parser(
        "import", parents=[flags, acting_flags()], help="sell what a provider offers"
    )
    imported.add_argument("provider")
    imported.add_argument(
        "--markup", help="make the price rule for it: percent on its prices, like 25%%"
    )
    imported.add_argument("--ids", help="only these of the provider's services, like 1,2")
    imported.add_argument("--category", help="only this category of the provider's")
    imported.add_argument("--type", help="only this service type")
    imported.add_argument("--search", help="only services with this in their name")
    imported.add_argument("--background", action="store_true", help="by the workers")
    imported.add_argument("--dry-run", action="store_true", help="only say what would be added")
    imported.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _import(a, s, p)))


async def _import(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    markup = percent(arguments.markup) if arguments.markup is not None else None
    choice = Choice(
        ids=set(re.split(r"[,\s]+", arguments.ids.strip())) if arguments.ids else None,
        category=arguments.category,
        type=arguments.type,
        search=arguments.search,
    )
    async with pool.acquire() as conn:
        record = await upstreams.find_provider(conn, arguments.provider)
    if arguments.background and not arguments.dry_run:
        given = {
            "provider": record.name,
            "markup": None if markup is None else str(markup),
            "ids": None if choice.ids is None else sorted(choice.ids),
            "category": choice.category,
            "type": choice.type,
            "search": choice.search,
        }
        show_asked(arguments, await ask_for_job(pool, JobKind.IMPORT, given, warrant_of(arguments)))
        return 0
    async with speaking_to(settings, record) as provider:
        catalogue = await provider.services()
    done = await importing.import_services(
        pool,
        record,
        catalogue,
        settings,
        warrant_of(arguments),
        choice=choice,
        markup_percent=markup,
        dry_run=arguments.dry_run,
    )
    async with pool.acquire() as conn:
        terms = await read_terms(conn)
        concerned = {*done.added, *done.known}
        ours = [s for s in await store.list_services(conn) if s.id in concerned]
    rows = (
        [_new(new) for new in done.fresh] if arguments.dry_run else [brief(s, terms) for s in ours]
    )
    show(arguments, rows, text=lambda: _words(done, dry_run=arguments.dry_run))
    return 0


def _new(new: NewService) -> dict[str, object]:
    return {
        "upstream_service": new.upstream_service,
        "name": new.name,
        "type": new.type,
        "category": new.category,
        "cost": format_amount(new.cost),
        "disabled_reason": new.disabled_reason,
    }


def _words(done: Imported, *, dry_run: bool) -> str:
    verb = "would import" if dry_run else "imported"
    off = [new for new in done.fresh if not new.enabled]
    lines = [
        f"{verb} {len(done.fresh)}, there {len(done.known)}, refused {len(done.refused)}",
        *(f"  {row.service}: {row.reason}" for row in done.refused),
        *(f"  {new.upstream_service}: switched off, {new.disabled_reason}" for new in off),
    ]
    return "\n".join(lines)
